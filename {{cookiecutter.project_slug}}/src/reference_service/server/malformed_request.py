"""Build the response to an invalid HTTP request, which no application sees."""

import logging
import os
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ..resilience.problem import MEDIA_TYPE, problem_body

log = logging.getLogger(__name__)


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
