"""uvicorn's HTTP protocol with bounds for slow, oversized and malformed requests."""

import logging
import select
import socket
import struct
from asyncio import Transport
from collections.abc import Callable
from typing import Any

from .progress import PendingIO, StallDetector
from .strict_protocol import RejectedRequestError, StrictProtocol

log = logging.getLogger(__name__)

MIN_PROGRESS_BYTES = 1024  # of a body: fewer could hold a connection forever
MAX_PIPELINED = 32  # requests that wait; each takes about 100 times its size in memory
HEADER_SEPARATORS = len(": \r\n")
LINGER_RESET = struct.pack("ii", 1, 0)  # the socket option that makes closing reset a connection
SHUTDOWN_POLL_INTERVAL = 0.02  # seconds between looks at a request that arrives during shutdown


class BoundedProtocol(StrictProtocol):
    """uvicorn's HTTP protocol with bounds: `uvicorn.Config(http=partial(BoundedProtocol, ...))`.

    header_timeout: seconds until the headers are complete, from the start of the connection, or
        from the first byte of a later request.
    io_timeout: seconds in which a client has to send `MIN_PROGRESS_BYTES` of a body, or its end,
        and in which it has to take part of a response. Time in which the service itself reads
        nothing, or has nothing to send, does not count.
    max_header_bytes: bytes of the URL and the headers, or of trailers.
    on_slow_client: called for each client that is disconnected.

    Slower clients are disconnected (RFC 9112, section 9.5), without a 408: a client could take it
    for the answer to its next request. Headers that are too large are answered 431 (RFC 6585,
    section 5).
    """

    def __init__(
        self,
        *args: Any,
        header_timeout: float,
        io_timeout: float,
        max_header_bytes: int,
        on_slow_client: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._header_timeout = header_timeout
        self._io_timeout = io_timeout
        self._on_slow_client = on_slow_client
        self._max_header_bytes = max_header_bytes
        self._too_large = f"The request headers are larger than {max_header_bytes} bytes."
        self._unparsed_bytes = 0  # since the parser last completed part of a body, or a request
        self._requests = 0
        self._last_complete_scope: Any = None
        self._body_bytes = 0
        shortest = min(header_timeout, io_timeout, self.timeout_keep_alive)
        self._stalls = StallDetector(self.loop, shortest, self._pending_io, self._disconnect)

    # ---- The connection

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Start to watch the client's progress."""
        super().connection_made(transport)
        self._stalls.start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching the client's progress."""
        self._stalls.stop()
        super().connection_lost(exc)
        if self.cycle is not None and self.cycle.response_complete:
            # Otherwise only the garbage collector would free the connection.
            self.cycle = None  # type: ignore[assignment]

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to another protocol."""
        self._stalls.stop()
        super().handle_websocket_upgrade()

    def shutdown(self) -> None:
        """Close the connection because the process shuts down; first answer what has arrived.

        uvicorn closes a connection without a request at once. But part of a request may have
        arrived, or the event loop may not have read it yet. Such a request is still answered.
        """
        answered = self.cycle is None or self.cycle.response_complete
        if answered and not self.transport.is_closing() and self._has_input():
            self.loop.call_later(SHUTDOWN_POLL_INTERVAL, self.shutdown)
        else:
            super().shutdown()

    def _has_input(self) -> bool:
        if self._rejection:
            return False
        unread = select.poll()
        unread.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return self._unparsed_bytes > 0 or bool(unread.poll(0))

    # ---- The request

    def data_received(self, data: bytes) -> None:
        """Parse data, and reject headers that are too large before they are complete."""
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > self._max_header_bytes and not self._rejection:
            self.reject(431, self._too_large)

    def is_between_requests(self) -> bool:
        """Return whether the next data is the start of a request, and its response may be sent."""
        answered = self.cycle is None or self.cycle.response_complete
        unsent = self._rejection or self.flow.write_paused
        return self._last_complete_scope is self.scope and answered and not unsent

    def count_request(self) -> None:
        """Count a request as the client's progress, as if it had been parsed."""
        self._unparsed_bytes = 0
        self._requests += 1
        self._last_complete_scope = self.scope

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header, without white space behind its value (RFC 9110, section 5.5)."""
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start the request, unless its headers are too large."""
        if self._unparsed_bytes > self._max_header_bytes:  # part of a body may be among them
            sizes = (len(name) + len(value) + HEADER_SEPARATORS for name, value in self.headers)
            if len(self.url) + sum(sizes) > self._max_header_bytes:
                raise RejectedRequestError(self._too_large, 431)
        if len(self.pipeline) >= MAX_PIPELINED:
            raise RejectedRequestError("Too many pipelined requests.")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the body as progress."""
        super().on_body(body)
        self._unparsed_bytes = 0
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        """Note that the request has been received completely."""
        super().on_message_complete()
        self.count_request()

    # ---- The client's progress

    def _pending_io(self) -> PendingIO | None:
        cycle, closing = self.cycle, self.transport.is_closing()
        answered = cycle is None or cycle.response_complete
        unsent = self.transport.get_write_buffer_size()
        if unsent and (answered or closing or self.flow.write_paused):
            # The service adds nothing now. If the size stays the same, the client reads nothing.
            return PendingIO("response", self._io_timeout, (self._requests, unsent))
        if unsent or closing or self.flow.read_paused or self._rejection:
            return None
        if self._requests and self._last_complete_scope is self.scope:
            idle = PendingIO("next request", self.timeout_keep_alive, (self._requests,))
            return idle if answered else None
        if cycle is None or cycle.scope is not self.scope:
            return PendingIO("headers", self._header_timeout, (self._requests,))
        if cycle.waiting_for_100_continue:
            return None
        # The rest of a body that the application does not read must arrive as a whole.
        progress = 0 if answered else self._body_bytes // MIN_PROGRESS_BYTES
        return PendingIO("body", self._io_timeout, (self._requests, progress))

    def _disconnect(self, pending: PendingIO) -> None:
        if pending.kind == "next request":
            self.transport.close()  # an idle connection is not an error
            return
        self._on_slow_client()
        client = self.client[0] if self.client else None
        # Not rate-limited: requests are logged too, and a client can cause them more cheaply.
        log.info("disconnected slow client", extra={"pending": pending.kind, "client": client})
        if pending.kind == "response":
            # Otherwise the kernel keeps sending the buffered response for minutes.
            endpoint = self.transport.get_extra_info("socket")
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        self.transport.abort()
