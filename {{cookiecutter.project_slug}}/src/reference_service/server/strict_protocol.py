"""uvicorn's HTTP protocol that understands each request in one way only, or rejects it."""

from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .ambiguity import RejectedRequestError, reject_ambiguous, reject_trailers
from .malformed_request import Rejection, log_rejection


class StrictProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol that rejects malformed and ambiguous requests.

    An upgrade that the server does not support is ignored (RFC 9110, section 7.8). llhttp would
    skip the body of such a request and read it as the next request. So the headers are parsed
    again, without the upgrade.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rejection: Rejection | None = None

    def data_received(self, data: bytes) -> None:
        """Parse data; reject a request that is malformed or ambiguous."""
        if self._rejection:
            self._rejection.discard(data)
            return
        while True:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
                data = self._without_upgrade() + data[upgrade.args[0] :]
                self.parser = HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn
            except HttpParserError as error:
                cause = error.__context__
                if isinstance(cause, RejectedRequestError):
                    self.reject(cause.status, str(cause))
                else:
                    self.reject(400, "Invalid HTTP request received.")
                return
            else:
                return

    def _should_upgrade(self) -> bool:
        return self.parser.get_method() == b"GET" and super()._should_upgrade()  # RFC 6455, 4.1

    def _without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"\r\n"])

    def on_headers_complete(self) -> None:
        """Start the request. An exception here makes the parser stop, and the request rejected."""
        version = self.parser.get_http_version()
        reject_ambiguous(version, self.url, self.headers)
        if not self.parser.should_upgrade():
            if version == "1.0":
                self.expect_100_continue = False  # RFC 9110, section 10.1.1
            super().on_headers_complete()
            self.headers = []  # for trailers, which must not become headers of the request
        elif self._should_upgrade():
            super().on_headers_complete()
        elif self.parser.get_method() == b"CONNECT":  # always an upgrade for llhttp
            raise RejectedRequestError("CONNECT is not supported.")

    def on_message_complete(self) -> None:
        """Complete the request, unless it is an upgrade: its body has not been read."""
        if self.parser.should_upgrade():
            return
        if self.headers:
            reject_trailers(self.headers)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the next pipelined request, or reject what came after the last one.

        Unlike uvicorn, start no keep-alive timer: it would cost a tenth of the CPU time of a probe
        request. `BoundedProtocol` closes idle connections.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._rejection:
            self._rejection.send()

    def reject(self, status: int, detail: str) -> None:
        """Answer that the latest request is rejected, after the responses to those before it.

        The connection is aborted if part of a response to this request has been sent.
        """
        cycle = self.cycle
        answered = cycle is None or cycle.response_complete
        if not answered and cycle.more_body:  # the body of this request is invalid
            if cycle.response_started:
                self.transport.abort()
                return
            cycle.disconnected = True  # what the application still sends is dropped
            cycle.message_event.set()
            if self.pipeline:
                self.pipeline.popleft()
            else:
                answered = True
        response = log_rejection(status, detail, self.server_state.default_headers)
        self._rejection = Rejection(self.loop, self.transport, response)
        if answered:
            self._rejection.send()
