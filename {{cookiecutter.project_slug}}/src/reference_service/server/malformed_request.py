"""Answer what is not a valid HTTP request: there is no scope, so no application can."""

import logging
import os
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ..resilience import problem_body

log = logging.getLogger(__name__)


def rejection(status: int, detail: str, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a complete error response, which closes the connection, and log it."""
    request_id = os.urandom(16).hex()
    log.info("rejected malformed request", extra={"request_id": request_id, "status": status})
    body = problem_body({"state": {"request_id": request_id}}, status, detail)
    headers = [
        *default_headers,
        (b"x-request-id", request_id.encode()),
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    lines = [b"%s: %s\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[status], *lines, b"\r\n", body])
