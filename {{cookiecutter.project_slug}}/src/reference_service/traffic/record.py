"""What is known of one request, for those who observe requests."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from ..health.asgi import Scope

CLIENT_CLOSED_REQUEST = 499  # of a request without a response, as nginx records it
SWITCHING_PROTOCOLS, FORBIDDEN, SERVER_ERROR = 101, 403, 500
# Close codes of WebSockets (RFC 6455, section 7.4.1)
NORMAL_CLOSURE, NO_CLOSE_CODE, CONNECTION_LOST, INTERNAL_ERROR = 1000, 1005, 1006, 1011


@dataclass(slots=True, eq=False)
class RequestRecord:
    """One request. Times are seconds of the registry's clock; `duration` is in seconds.

    The response ends with its last byte: background tasks after it are not part of it.
    """

    scope: Scope
    started: float
    status: int = CLIENT_CLOSED_REQUEST
    first_byte: float | None = None  # when the response started
    duration: float = 0.0  # from the request's headers to the end of the response
    ended: bool = False
    body_bytes: int = 0  # of the response
    close_code: int = 0  # of a WebSocket that was accepted (RFC 6455, section 7.4)

    @property
    def failed(self) -> bool:
        """Whether the service failed: the status is 500 or more, or a WebSocket was closed so."""
        return self.status >= SERVER_ERROR or self.close_code == INTERNAL_ERROR

    @property
    def latency(self) -> float:
        """Seconds that the client waited: to the end of the response, or the start of a stream."""
        if self.close_code or self.scope.get("state", {}).get("event_stream"):
            return (self.first_byte or self.started) - self.started
        return self.duration

    @property
    def rejected(self) -> str:
        """Why the service itself rejected it, for example "concurrency_limit"; else ""."""
        return str(self.scope.get("state", {}).get("rejected", ""))


RequestObserver = Callable[[RequestRecord], None]
"""Called once for each request, when its response has ended. It must not raise."""


def record_rejections(observers: Iterable[RequestObserver]) -> Callable[[str], None]:
    """Return what shows the observers a request that the server rejected before it had a scope.

    It takes the method of the request. The route and the path are not known.
    """
    observers = tuple(observers)

    @cache
    def record_of(method: str) -> RequestRecord:
        state = {"rejected": "concurrency_limit"}
        scope = {"type": "http", "method": method, "path": "", "state": state}
        return RequestRecord(scope, 0.0, status=503, ended=True)

    def record(method: str) -> None:
        for observe in observers:
            observe(record_of(method))

    return record
