"""Bound the bytes of a request that are not its body: request line, headers, trailers."""

from collections.abc import Iterable

SEPARATOR_BYTES = len(": \r\n")


class HeaderLimit:
    """Count the bytes that arrived since the parser last completed something.

    max_bytes: the limit for the URL and the headers of a request, or for its trailers.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._unparsed = 0

    @property
    def exceeded(self) -> bool:
        """Whether more bytes arrived than the limit, and the parser completed nothing."""
        return self._unparsed > self.max_bytes

    @property
    def has_unparsed_bytes(self) -> bool:
        """Whether part of a request has arrived."""
        return self._unparsed > 0

    def received(self, count: int) -> None:
        """Count bytes before they are parsed."""
        self._unparsed += count

    def reset(self) -> None:
        """Start again: part of a body, or a whole message, is complete."""
        self._unparsed = 0

    def check(self, url: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise ValueError if complete headers are too large. Part of a body may follow them."""
        if self.exceeded:
            size = sum(len(name) + len(value) + SEPARATOR_BYTES for name, value in headers)
            if len(url) + size > self.max_bytes:
                raise ValueError("the request headers are too large")
