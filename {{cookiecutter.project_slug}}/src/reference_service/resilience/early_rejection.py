"""Reject requests before they are parsed while too many are in flight."""

import asyncio
import os
import re
from collections.abc import Callable, Iterable

from .adaptive_limit import AdaptiveLimit
from .concurrency_limit import REJECTED
from .problem import MEDIA_TYPE, problem_body

HEADERS = (
    b"HTTP/1.1 503 Service Unavailable\r\nx-request-id: %b\r\ncontent-length: %d\r\n"
    b"content-type: " + MEDIA_TYPE.encode() + b"\r\nretry-after: 1\r\n\r\n"
)

# Headers that say nothing about the length of the body, or what the connection is used for.
_HEADERS = (
    rb"(?:(?!(?:content-length|transfer-encoding|expect|origin|upgrade)[ \t]*:"
    rb"|connection:(?![ \t]*keep-alive\r))"
    rb"[!#$%&'*+.^`|~\w-]+:[^\r\n\0]*\r\n)*"
)
_REQUEST = re.compile(
    rb"(GET|POST|PUT|PATCH|DELETE) (/[!-~]*) HTTP/1\.1\r\n(?i:"
    + _HEADERS
    + rb"(?:content-length:[ \t]*([0-9]{1,9})[ \t]*\r\n"
    + _HEADERS
    + rb")?)\r\n"
)
_REQUEST_ID = re.compile(rb"\r\nx-request-id:[ \t]*([\w.-]{1,128})[ \t]*\r\n", re.IGNORECASE)


class EarlyRejection:
    """Answers 503 for `ConcurrencyLimit`, at a quarter of the cost: a server calls it with bytes.

    Under ten times the load, rejections would otherwise take the whole CPU time. Only a complete
    and ordinary request is rejected here. Anything else is parsed and meets `ConcurrencyLimit`.

    limit: the limit that `ConcurrencyLimit` has.
    unless: while it returns true, nothing is rejected here.
    exempt: what paths that are never rejected start with.
    on_reject: called with the method of each rejected request.
    """

    def __init__(
        self,
        limit: AdaptiveLimit,
        *,
        unless: Callable[[], bool] = lambda: False,
        exempt: Iterable[str] = ("/health/",),
        on_reject: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.limit = limit
        self._unless = unless
        self._exempt = tuple(path.encode() for path in exempt)
        self._on_reject = on_reject
        self._admitted = 0  # in this iteration of the event loop: they are not in flight yet
        body = problem_body({"state": {"request_id": "ID"}}, 503, REJECTED).split(b"ID")
        self._body, self._length = body, sum(map(len, body))

    def __call__(self, data: bytes) -> bytes | None:
        """Return the response to a request, or None if the server has to parse it.

        Call it while `limit.rejecting` is true, with data that is the start of a request.
        """
        if self.limit.in_flight + self._admitted < self.limit.value:
            if not self._admitted:
                asyncio.get_running_loop().call_soon(self._end_iteration)
            self._admitted += 1
            return None
        request = _REQUEST.match(data)
        if request is None or request[2].startswith(self._exempt):
            return None
        if len(data) != request.end() + int(request[3] or 0) or self._unless():
            return None
        self.limit.reject()
        self._on_reject(request[1].decode())
        from_client = _REQUEST_ID.search(data, 0, request.end())
        return self._response(from_client[1] if from_client else os.urandom(16).hex().encode())

    def _response(self, request_id: bytes) -> bytes:
        before, after = self._body
        length = self._length + len(request_id)
        return HEADERS % (request_id, length) + before + request_id + after

    def _end_iteration(self) -> None:
        self._admitted = 0
