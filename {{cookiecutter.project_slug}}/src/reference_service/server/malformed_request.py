"""Answer an invalid HTTP request, and close a connection whose client may still be sending."""

import logging
import os
from asyncio import AbstractEventLoop, Transport
from collections.abc import Callable, Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ..resilience.problem import MEDIA_TYPE, problem_body

log = logging.getLogger(__name__)

LINGER_TIMEOUT = 2.0  # maximum seconds in which the rest of a rejected request is discarded
LINGER_BYTES = 64 * 1024 * 1024  # maximum bytes of it that are discarded


class Rejection:
    """The last response of a connection, whose client may still be sending.

    Closing the connection at once would reset it, and the reset can destroy the response. So only
    the writing half is closed, and the rest is discarded (RFC 9112, section 9.6).

    response: the response to a rejected request; empty if the application has sent it.
    """

    def __init__(
        self, loop: AbstractEventLoop, transport: Transport, response: bytes = b""
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._response = response
        self._discarded_bytes = 0

    def send(self) -> None:
        """Send the response and close the connection, unless it is closing."""
        if self._transport.is_closing():
            return
        self._transport.write(self._response)
        self._transport.write_eof()
        self._loop.call_later(LINGER_TIMEOUT, self._transport.close)

    def discard(self, data: bytes) -> None:
        """Count discarded data, and close the connection when it was too much."""
        self._discarded_bytes += len(data)
        if self._discarded_bytes > LINGER_BYTES:
            self._transport.close()


class ClosingTransport:
    """A transport as the responses of one connection use it, with another way to close it."""

    def __init__(self, transport: Transport, close: Callable[[], None]) -> None:
        self.write, self.is_closing, self.close = transport.write, transport.is_closing, close


def log_rejection(
    status: int, detail: str, default_headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Log a rejected request, and return the complete response, which closes the connection."""
    request_id = os.urandom(16).hex()
    log.info("rejected malformed request", extra={"request_id": request_id, "status": status})
    body = problem_body({"state": {"request_id": request_id}}, status, detail)
    headers = [
        *default_headers,
        (b"x-request-id", request_id.encode()),
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    lines = [b"%s: %s\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[status], *lines, b"\r\n", body])
