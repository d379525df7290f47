"""Records each request once, for the load score, the checks, and the observers of requests."""

from collections.abc import Awaitable, Iterable
from itertools import takewhile

from ..health import Registry
from ..health.asgi import ASGIApp, Message, Receive, Scope, Send
from ..health.probes import RECHECK_STATUS_CODES
from .load import Load
from .record import SWITCHING_PROTOCOLS, RequestObserver, RequestRecord
from .websocket import WebSocket

LOAD_PERIOD = 5.0  # seconds between two readings of the load score


class Traffic:
    """Measures requests for the load score, and rechecks everything if one fails or waits too long.

    Checks run often at low load, and rarely at high load. Then two things bring the next attempt
    forward: an error response, and a request that waits for longer than an attempt may take. What
    the service itself rejected does not count.

    observers: called with each request's record, in the request's own context.
    load: measures the load; None measures this process.
    """

    def __init__(
        self,
        app: ASGIApp,
        registry: Registry,
        observers: Iterable[RequestObserver] = (),
        load: Load | None = None,
    ) -> None:
        self.app = app
        self.registry = registry
        self.observers = tuple(observers)
        self.load = load or Load()
        self.waiting: dict[RequestRecord, None] = {}  # no response has started; oldest first
        self._next_reading = registry.clock() + LOAD_PERIOD
        registry.on_heartbeat(self._read_load)
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

        async def send_body(message: Message) -> None:
            await send(message)
            record.body_bytes += len(message.get("body", b""))
            if not message.get("more_body", False):
                self._note_end(record)

        def watch(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.body":
                return send_body(message)
            if message["type"] == "http.response.start":
                self._note_start(record, message["status"])
            return send(message)

        self.registry.in_flight += 1
        self.waiting[record] = None
        try:
            await self.app(scope, receive, watch)
        finally:
            if not record.ended:  # the response is incomplete, or there is none
                self.waiting.pop(record, None)
                self._note_end(record)

    def _read_load(self) -> None:
        now = self.registry.clock()
        if now >= self._next_reading:
            self._next_reading = now + LOAD_PERIOD
            self.registry.cadence.score = self.load.score(self.registry.in_flight)

    async def _record_websocket(self, record: RequestRecord, receive: Receive, send: Send) -> None:
        """Record a WebSocket when it has ended."""
        websocket = WebSocket(record, self.registry, receive, send)
        try:
            await self.app(record.scope, websocket.receive, websocket.send)
        finally:
            self.registry.websockets -= record.status == SWITCHING_PROTOCOLS
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
        if not record.rejected:
            self.load.observe(record.first_byte - record.started)
            if status in RECHECK_STATUS_CODES:
                self.registry.recheck()

    def _note_end(self, record: RequestRecord) -> None:
        record.ended = True
        record.duration = self.registry.clock() - record.started
        if record.scope["method"] == "HEAD":
            record.body_bytes = 0  # `HeadRequests` drops it
        self.registry.in_flight -= 1
        for observe in self.observers:
            observe(record)
