"""Disconnects clients that are too slow, refuses endless heads, and misses no last request."""

import logging
import os
import select
import socket
import struct
from asyncio import TimerHandle, Transport
from collections import Counter
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ..resilience import problem_body

log = logging.getLogger(__name__)

LOOKS = 4
"""Looks at a connection in the shortest of its times."""
PROGRESS = 1024
"""Bytes of a body; fewer in its time are none, or one now and then would hold it for ever."""
MAX_PIPELINED = 32
"""Requests that may wait on a connection: each takes a hundred times its own bytes."""
RESET = struct.pack("ii", 1, 0)  # a linger of no seconds
MOMENT = 0.02
"""Seconds between looks at a request that comes while the process leaves."""


class Owed(NamedTuple):
    """What a client has to do next, and how far it has come.

    seconds: how long `done` may stay the same.
    """

    what: str
    seconds: float
    done: tuple[int, ...]


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with bounds: `uvicorn.Config(http=partial(BoundedProtocol, ...))`.

    header_timeout: seconds until a head is complete, from the connection on or from a later
        request's first byte.
    io_timeout: seconds in which a client has to send the next `PROGRESS` bytes of a body, or its
        end, and in which it has to take some of a response. They do not count while it is the
        service that reads nothing or has nothing to send.
    max_header_bytes: bytes of a head, or of anything else that is not a body, such as trailers.
    tally: counts the `slow_client_disconnects`.

    Who is slower is disconnected (RFC 9112, section 9.5), without a 408: a client could take it for
    the answer to its next request. A head that is too large is answered 431 (RFC 6585, section 5).

    A timer looks at the connection now and then, and counts how often it has seen the same: so a
    request costs no timer and no look at the clock, and a client has up to a look more.
    """

    def __init__(
        self,
        *args: Any,
        header_timeout: float,
        io_timeout: float,
        max_header_bytes: int,
        tally: Counter[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.tally = Counter[str]() if tally is None else tally
        self.header_timeout = header_timeout
        self.io_timeout = io_timeout
        self.max_header_bytes = max_header_bytes
        self._requests = 0
        self._last: Any = None  # the scope of the last complete request
        self._body = 0
        self._unparsed = 0  # bytes since the parser had something to tell, in whole pieces
        self._owed: Owed | None = None
        self._looks = 0
        self._look_every = min(header_timeout, io_timeout, self.timeout_keep_alive) / LOOKS
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to look."""
        super().connection_made(transport)
        self._owed = self._what_is_owed()
        self._timer = self.loop.call_later(self._look_every, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no longer."""
        self._stop_looking()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to another protocol."""
        self._stop_looking()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Parse a piece; refuse it when the head still has no end."""
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > self.max_header_bytes and not self.transport.is_closing():
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """Start the request; what is raised here makes the parser stop and refuse."""
        if self._unparsed > self.max_header_bytes:
            fields = sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
            if len(self.url) + fields > self.max_header_bytes:
                raise ValueError("the head is too large")
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests that wait")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note progress."""
        super().on_body(body)
        self._unparsed = 0
        self._body += len(body)

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        super().on_message_complete()
        self._unparsed = 0
        self._requests += 1
        self._last = self.scope

    def on_response_complete(self) -> None:
        """Go on with what waits, and set no timer for the next request as uvicorn does.

        `_look` has an eye on idle connections, and a timer a request costs a tenth of a probe.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def send_400_response(self, msg: str) -> None:
        """Answer what was refused, and close; unless that would end up in another answer."""
        cycle = self.cycle
        answering = cycle is not None and not cycle.response_complete
        if answering and (cycle.response_started or self.pipeline):
            self.transport.abort()
            return
        status, detail = 400, msg
        if self._unparsed > self.max_header_bytes:
            status, detail = (
                431,
                f"The request's head is larger than {self.max_header_bytes} bytes.",
            )
        request_id = os.urandom(16).hex()
        log.info("rejected malformed request", extra={"request_id": request_id, "status": status})
        body = problem_body({"state": {"request_id": request_id}}, status, detail)
        headers = [
            *self.server_state.default_headers,
            (b"x-request-id", request_id.encode()),
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%s: %s\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        self.transport.close()

    def shutdown(self) -> None:
        """Close the connection because the process leaves; behind the answer, if one is owed.

        uvicorn closes one without a request at once. But there may be some of a request that is
        incomplete, or that the loop was too busy to read: that one is still answered.
        """
        answered = self.cycle is None or self.cycle.response_complete
        if answered and not self.transport.is_closing() and self._is_being_asked():
            self.loop.call_later(MOMENT, self.shutdown)
        else:
            super().shutdown()

    def _is_being_asked(self) -> bool:
        unread = select.poll()
        unread.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return self._unparsed > 0 or bool(unread.poll(0))

    def _look(self) -> None:
        owed = self._what_is_owed()
        self._looks = self._looks + 1 if owed == self._owed else 0
        self._owed = owed
        if owed and self._looks * self._look_every >= owed.seconds:
            self._disconnect(owed)
        else:
            self._timer = self.loop.call_later(self._look_every, self._look)

    def _what_is_owed(self) -> Owed | None:
        cycle, closing = self.cycle, self.transport.is_closing()
        answered = cycle is None or cycle.response_complete
        unsent = self.transport.get_write_buffer_size()
        if unsent and (answered or closing or self.flow.write_paused):
            # Nobody adds to it now: while it stays the same, the client takes nothing.
            return Owed("response", self.io_timeout, (self._requests, unsent))
        if unsent or closing or self.flow.read_paused:
            return None
        if cycle is None or cycle.scope is not self.scope:
            return Owed("head", self.header_timeout, (self._requests,))
        if self._last is self.scope:
            idle = Owed("next request", self.timeout_keep_alive, (self._requests,))
            return idle if answered else None
        # What remains of a body that nobody reads has to come in that time as a whole.
        done = 0 if answered else self._body // PROGRESS
        body = Owed("body", self.io_timeout, (self._requests, done))
        return None if cycle.waiting_for_100_continue else body

    def _disconnect(self, owed: Owed) -> None:
        if owed.what == "next request":
            self.transport.close()  # to have nothing to ask is no fault
            return
        self.tally["slow_client_disconnects"] += 1
        client = self.client[0] if self.client else None
        # No more lines than by requests, which are logged too and cost a client less.
        log.info("disconnected slow client", extra={"owed": owed.what, "client": client})
        if owed.what == "response":
            # In an orderly end the kernel would go on with what it has taken, for minutes.
            endpoint = self.transport.get_extra_info("socket")
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    def _stop_looking(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
