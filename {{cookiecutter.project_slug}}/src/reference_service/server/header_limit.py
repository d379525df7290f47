"""Bound the bytes of a request that are not its body: request line, headers, trailers."""

from collections.abc import Iterable

SEPARATOR_BYTES = len(": \r\n")


class HeaderLimit:
    """Count the bytes that arrived since the parser last completed something.

    max_bytes: the limit for the URL and the headers of a request, or for its trailers.
    unparsed: the bytes so far. The protocol changes it directly, because a call would cost time and
        every request changes it several times.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.unparsed = 0

    def check(self, url: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise ValueError if complete headers are too large. Part of a body may follow them."""
        size = sum(len(name) + len(value) + SEPARATOR_BYTES for name, value in headers)
        if len(url) + size > self.max_bytes:
            raise ValueError("the request headers are too large")
