"""Record each request once, for the load score, the checks, and whatever else observes requests."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import takewhile

from .asgi import ASGIApp, Message, Receive, Scope, Send
from .load import Load
from .registry import Registry

RECHECK_STATUS_CODES = frozenset({500, 503, 504})  # after which every check runs again
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


class Traffic:
    """Measure requests for the load score, and recheck everything after an error response.

    Checks run often at low load. At high load they run rarely, and two things bring the next
    attempt forward: an error response, and a request that waits for longer than an attempt may
    take. A request that the service itself rejected says nothing about what it depends on.

    observers: called with each request's record, in the request's own context.
    """

    def __init__(
        self, app: ASGIApp, registry: Registry, observers: Iterable[RequestObserver] = ()
    ) -> None:
        self.app = app
        self.registry = registry
        self.observers = tuple(observers)
        self.waiting: dict[RequestRecord, None] = {}  # no response has started; oldest first
        registry.on_heartbeat(self._recheck_if_requests_wait)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        record = RequestRecord(scope, self.registry.clock())
        if scope["type"] == "websocket":
            await self._record_websocket(record, receive, send)
            return

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note_start(record, message["status"])
                await send(message)
            else:
                await send(message)
                if message["type"] == "http.response.body":
                    record.body_bytes += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        self._note_end(record)

        self.registry.load.in_flight += 1
        self.waiting[record] = None
        try:
            await self.app(scope, receive, watch)
        finally:
            if not record.ended:  # the response is incomplete, or there is none
                self.waiting.pop(record, None)
                self._note_end(record)

    async def _record_websocket(self, record: RequestRecord, receive: Receive, send: Send) -> None:
        """Record a WebSocket when it has ended."""
        websocket = _WebSocket(record, self.registry.load, receive, send)
        try:
            await self.app(record.scope, websocket.receive, websocket.send)
        finally:
            self.registry.load.websockets -= record.status == SWITCHING_PROTOCOLS
            if record.failed and not record.rejected:
                self.registry.recheck()
            record.duration = self.registry.clock() - record.started
            for observe in self.observers:
                observe(record)

    def _recheck_if_requests_wait(self) -> None:
        """Recheck everything if a request has waited for longer than an attempt may take.

        A request is evidence once. Otherwise one that never ends would keep every check busy.
        """
        latest = self.registry.clock() - self.registry.options.timeout
        late = list(takewhile(lambda each: each.started < latest, self.waiting))
        for record in late:
            del self.waiting[record]
        if late:
            self.registry.recheck()

    def _note_start(self, record: RequestRecord, status: int) -> None:
        record.status = status
        record.first_byte = self.registry.clock()
        self.waiting.pop(record, None)
        if status in RECHECK_STATUS_CODES:
            if record.rejected:
                return
            self.registry.recheck()
        self.registry.load.observe(record.first_byte - record.started)

    def _note_end(self, record: RequestRecord) -> None:
        record.ended = True
        record.duration = self.registry.clock() - record.started
        if record.scope["method"] == "HEAD":
            record.body_bytes = 0  # `HeadRequests` drops it
        self.registry.load.in_flight -= 1
        for observe in self.observers:
            observe(record)


class _WebSocket:
    """The messages of one WebSocket. The first close code counts, whichever side closes."""

    def __init__(self, record: RequestRecord, load: Load, receive: Receive, send: Send) -> None:
        self._record, self._load = record, load
        self._receive, self._send = receive, send

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._close(message.get("code") or NO_CLOSE_CODE)
        return message

    async def send(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept":
                self._record.status = SWITCHING_PROTOCOLS
                self._record.close_code = CONNECTION_LOST
                self._load.websockets += 1
            case "websocket.http.response.start":
                self._record.status = message["status"]
            case "websocket.close":
                self._close(message.get("code", NORMAL_CLOSURE))
        await self._send(message)

    def _close(self, code: int) -> None:
        if self._record.close_code == CONNECTION_LOST:
            self._record.close_code = code
        elif self._record.status == CLIENT_CLOSED_REQUEST:
            self._record.status = FORBIDDEN  # as servers answer a close before the handshake


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
