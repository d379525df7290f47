"""Reject requests at once when more are in flight than the service can answer in time."""

import asyncio
import math
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import send_problem

MIN_LIMIT = 20  # fewer requests at once are no overload, however slow they are
MAX_BACKGROUND = 100  # requests whose background tasks run after their response, without a slot
WINDOW, MIN_ANSWERS = 0.1, 10  # seconds, and answers, between two adjustments
IDLE = 0.02  # seconds without requests that show that none is queued
LATE_SHARE = 0.1  # of the answers: a few slow requests do not show a queue


class AdaptiveLimit:
    """Learns from latencies how many requests at once are answered within an objective.

    By Little's law, requests in flight = throughput * latency. So the limit is the throughput times
    the latency that is tolerated: half of the objective, or what the route takes without a
    queue and the same time again in a queue. If more are in flight, the limit is cut to those that
    a service without a queue has, and grows again. So the fastest request since a cut shows what
    its route takes without a queue.

    objective: seconds in which requests are to be answered. start: the limit while nothing has been
        learned. All times are seconds of one monotonic clock.
    """

    def __init__(self, objective: float, start: float = 800, maximum: float = 5000) -> None:
        self.value = self._start = start
        self._burst = start  # the limit while nothing is queued
        self._objective, self._maximum = objective, maximum
        self._fastest: dict[object, float] = {}  # seconds by route, since the last cut
        self._last_answer = 0.0
        self._exceeded = False
        self._start_window(0.0)

    def _start_window(self, now: float) -> None:
        self._started, self._tolerated, self._unqueued = now, 0.0, 0.0
        self._arrivals, self._in_flight, self._reached = 0, 0, False
        self._answers, self._late = 0, 0

    def admits(self, in_flight: int, now: float) -> bool:
        """Return whether one more request may start."""
        if not in_flight and now - self._last_answer > IDLE:
            self._recover((now - self._last_answer) / WINDOW)
            self._last_answer = now
            self._start_window(now)
        self._arrivals += 1
        self._in_flight += in_flight
        self._reached = self._reached or in_flight >= self.value
        return in_flight < self.value

    def observe(self, route: object, arrived: float, now: float) -> None:
        """Record that a request is answered now."""
        seconds, self._last_answer = now - arrived, now
        fastest = self._fastest[route] = min(seconds, self._fastest.get(route, seconds))
        tolerated = max(self._objective / 2, fastest + min(fastest, self._objective))
        self._tolerated += tolerated
        self._late += seconds > tolerated
        self._unqueued += max(self._objective / 10, fastest)
        self._answers += 1
        if now - self._started >= WINDOW and self._answers >= MIN_ANSWERS:
            self._adjust(now - self._started)
            self._start_window(now)

    def _adjust(self, window: float) -> None:
        """Set the limit, after a window of some seconds."""
        in_flight, tolerated = self._in_flight / max(self._arrivals, 1), self._tolerated / window
        exceeded = self._exceeded
        self._exceeded = in_flight > tolerated and self._late > LATE_SHARE * self._answers
        if self._exceeded:
            if exceeded and in_flight <= self.value:  # otherwise those before the cut are left
                throughput = self._answers / window
                self.value = max(MIN_LIMIT, min(self.value, self._unqueued / window))
                self._burst = min(self._start, max(tolerated, throughput * self._objective))
                self._fastest.clear()
        elif self._reached:
            growth = 1.1 if 2 * in_flight > tolerated else 1.5
            self.value = min(self._maximum, growth * self.value)
        else:
            self._recover(1)

    def _recover(self, windows: float) -> None:
        """Raise the limit, because it was not reached: it doubles in each window."""
        windows = min(windows, 100)
        self._burst = min(self._start, 1.02**windows * self._burst)
        self.value = max(self.value, min(self._burst, 2**windows * self.value))


class ConcurrencyLimit:
    """Answer 503 with `Retry-After` while too many requests are in flight.

    A request holds its slot until its work has ended, except while it waits for its client, that is
    while it receives its body and while it sends the body of its response. Background tasks hold no
    slot, up to `MAX_BACKGROUND`. The server waits for them when it shuts down.

    A server may start hundreds of requests in one iteration of the event loop. All of them have
    waited since it began. Slots are free again after the iteration, so that requests that never
    wait for anything are limited too.

    limit: maximum requests in flight, learned or fixed.
    on_reject: called for each rejected request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: AdaptiveLimit | int,
        on_reject: Callable[[], None] = lambda: None,
    ) -> None:
        self.app = app
        self.limit = AdaptiveLimit(math.inf, limit, limit) if isinstance(limit, int) else limit
        self.on_reject = on_reject
        self.in_flight = 0
        self.background = 0  # requests whose background tasks run
        self._loop: asyncio.AbstractEventLoop | None = None
        self._iteration: float | None = None  # when it began
        self._ended = 0  # in this iteration
        self._answered: list[tuple[object, float]] = []  # in this iteration: route, arrival

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, or reject it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        arrived = self._begin_iteration()
        if self.limit.admits(self.in_flight, arrived):
            await self._run(arrived, scope, receive, send)
        else:
            self.on_reject()
            scope.setdefault("state", {})["rejected"] = "concurrency_limit"
            detail = "The service is at its limit of requests in flight; try again."
            await send_problem(scope, send, 503, detail, [(b"retry-after", b"1")])

    async def _run(self, arrived: float, scope: Scope, receive: Receive, send: Send) -> None:
        body_complete = started = streaming = in_background = False

        async def receive_body() -> Message:
            nonlocal arrived, body_complete
            if body_complete or started:
                return await receive()
            since = time.monotonic()
            self.in_flight -= 1
            try:
                message = await receive()
            finally:
                self.in_flight += 1
                arrived += time.monotonic() - since
            body_complete = not message.get("more_body", False)
            return message

        async def send_answer(message: Message) -> None:
            nonlocal started, streaming, in_background
            if message["type"] == "http.response.start":
                started = True
                if message["status"] < 400:  # noqa: PLR2004 - errors are often faster
                    self._answered.append((scope.get("endpoint"), arrived))
                    self._begin_iteration()
            elif not streaming:
                self.in_flight -= 1
                streaming = True
            await send(message)
            if streaming and not message.get("more_body", False):
                self.in_flight += 1
                streaming = False
                timed_out = scope.get("state", {}).get("timed_out")  # the work goes on, see Timeout
                in_background = not timed_out and self.background < MAX_BACKGROUND
                self.background += in_background
                self._ended += in_background
                self._begin_iteration()

        self.in_flight += 1
        try:
            await self.app(scope, receive_body, send_answer)
        finally:
            self.background -= in_background
            self._ended += not (streaming or in_background)
            self._begin_iteration()

    def _begin_iteration(self) -> float:
        """Return when this iteration of the event loop began, or its first request."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # the last iteration of the other one may never have ended
            self._end_iteration()
            self._loop = loop
        if self._iteration is None:
            self._iteration = time.monotonic()
            loop.call_soon(self._end_iteration)
        return self._iteration

    def _end_iteration(self) -> None:
        now = time.monotonic()
        self.in_flight -= self._ended
        for route, arrived in self._answered:
            self.limit.observe(route, arrived, now)
        self._iteration, self._ended, self._answered = None, 0, []
