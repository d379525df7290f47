"""uvicorn's HTTP protocol that understands each request in one way only, or rejects it."""

from asyncio import Transport
from collections.abc import Sequence
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .malformed_request import ClosingTransport, Rejection, log_rejection

HOST_CHARACTERS = bytes(range(0x21, 0x7F)).translate(None, b'"#/<>?@\\^`{|}')  # RFC 3986
NO_HANDSHAKE = {b"content-length", b"transfer-encoding"}
NO_TRAILERS = {b"connection", b"content-length", b"host", b"transfer-encoding", b"upgrade"}


class RejectedRequestError(ValueError):
    """Why a request is rejected: the status of the answer, and a sentence for the client."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.status = status


class StrictProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol that rejects malformed and ambiguous requests.

    An upgrade that the server does not support is ignored (RFC 9110, section 7.8). llhttp would
    skip the body of such a request and read it as the next request. So the headers are parsed
    again, without the upgrade.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rejection: Rejection | None = None
        self._closing_transport: ClosingTransport | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Prepare to close the connection."""
        super().connection_made(transport)
        self._closing_transport = ClosingTransport(transport, self.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the connection. Otherwise only the garbage collector would free it."""
        super().connection_lost(exc)
        self._closing_transport = None

    def close(self) -> None:
        """Close the connection; but if a client still sends its body, let it read the response."""
        cycle = self.cycle
        if cycle.response_complete and cycle.more_body and not cycle.disconnected:
            self._rejection = Rejection(self.loop, self.transport)  # see `on_response_complete`
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse data; reject a request that is malformed or ambiguous."""
        if self._rejection:
            self._rejection.discard(data)
            return
        while data:
            try:
                self.parser.feed_data(data)
                data = b""
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

    def _should_upgrade(self) -> bool:
        """Return whether this is the handshake of a WebSocket (RFC 6455, section 4.1).

        The server's library for WebSockets never answers a handshake with a body.
        """
        names = {name for name, _ in self.headers}
        is_handshake = b"sec-websocket-key" in names and NO_HANDSHAKE.isdisjoint(names)
        return self.parser.get_method() == b"GET" and is_handshake and super()._should_upgrade()

    def _without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"\r\n"])

    def on_headers_complete(self) -> None:
        """Start the request. An exception here makes the parser stop, and the request rejected."""
        version = self.parser.get_http_version()
        is_ping = self.url == b"*" and self.parser.get_method() == b"OPTIONS"  # RFC 9110, 9.3.7
        reject_ambiguous(version, b"/" if is_ping else self.url, self.headers)
        if not self.parser.should_upgrade():
            self.expect_100_continue &= version == "1.1"  # RFC 9110, section 10.1.1
            super().on_headers_complete()
            self.cycle.transport = self._closing_transport  # type: ignore[assignment]
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
        self.cycle.more_body = False  # also if the response was complete before the body was

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

        If it already has its answer, the connection only closes. With a part of one, it is aborted.
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
        has_answer = cycle is not None and cycle.response_complete and cycle.more_body
        self._rejection = Rejection(self.loop, self.transport, b"" if has_answer else response)
        if answered:
            self._rejection.send()


def reject_ambiguous(version: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise RejectedRequestError for what llhttp accepts and RFC 9112 or another server does not.

    A proxy that understands another request, another host or another end of the body can forward
    what it never checked (request smuggling; RFC 9112, section 11.2). llhttp itself rejects a
    second `Content-Length`, or one beside a `Transfer-Encoding`.

    version: for example "1.1". headers: with names in lower case.
    """
    host = coding = None
    hosts = codings = 0
    for name, value in headers:
        if name == b"host":
            host, hosts = value, hosts + 1
        elif name == b"transfer-encoding":
            coding, codings = value, codings + 1
    if version not in {"1.1", "1.0"}:
        raise RejectedRequestError("The HTTP version is not 1.1 or 1.0.")
    if hosts > 1 or codings > 1:
        raise RejectedRequestError("Host or Transfer-Encoding occurs twice.")
    if host is None and version == "1.1":
        raise RejectedRequestError("The Host header is missing.")
    if coding and (version == "1.0" or coding.strip().lower() != b"chunked"):
        raise RejectedRequestError("The Transfer-Encoding is not chunked, or not for HTTP/1.1.")
    if host and host.strip().translate(None, HOST_CHARACTERS):
        raise RejectedRequestError("The Host header is not a host.")
    if (target[:1] != b"/" or b"#" in target) and not _is_url_of(host, target):
        raise RejectedRequestError("The request target is not a path or a URL of this host.")


def reject_trailers(trailers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise RejectedRequestError if a trailer is about the connection (RFC 9110, section 6.5.1).

    After a trailer `Connection: close`, llhttp would ignore all further requests, without a word.
    """
    if not NO_TRAILERS.isdisjoint(name for name, _ in trailers):
        raise RejectedRequestError("A trailer is a header of the connection or the message.")


def _is_url_of(host: bytes | None, target: bytes) -> bool:
    scheme, _, rest = target.lower().partition(b"://")
    named = rest.partition(b"/")[0]
    return scheme in {b"http", b"https"} and b"#" not in rest and named == (host or named).lower()
