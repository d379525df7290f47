"""Reject requests at once when more are in flight than the service can answer in time."""

import asyncio
import math
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .adaptive_limit import AdaptiveLimit
from .problem import send_problem

MAX_BACKGROUND = 100  # requests whose background tasks run after their response, without a slot
REJECTED = "The service is at its limit of requests in flight; try again."


class ConcurrencyLimit:
    """Answer 503 with `Retry-After` while too many requests are in flight.

    A request holds its slot until its work has ended, except while it waits for its client, that is
    while it receives its body and while it sends the body of its response. Background tasks hold no
    slot, up to `MAX_BACKGROUND`. The server waits for them when it shuts down.

    A server may start hundreds of requests in one iteration of the event loop. All of them have
    waited since it began. Slots are free again after the iteration, so that requests that never
    wait for anything are limited too.

    limit: maximum requests in flight, learned or fixed. It counts what is rejected.
    shares_by_path: the share of the limit from which on a request is rejected, for paths that start
        with a prefix. With `{"/reports/": 0.5}`, half of the limit remains for other requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: AdaptiveLimit | int,
        shares_by_path: Mapping[str, float] | None = None,
    ) -> None:
        self.app = app
        self.shares_by_path = shares_by_path or {}
        self.limit = AdaptiveLimit(math.inf, limit, limit) if isinstance(limit, int) else limit
        self.background = 0  # requests whose background tasks run
        self.iteration = _Iteration(self.limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, or reject it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        arrived = self.iteration.begin()
        if self.shares_by_path and self._exceeds_share(scope["path"]):
            self.limit.rejected += 1  # the limit itself is not reached
            await _reject(scope, send)
        elif not self.limit.admits(arrived):
            await _reject(scope, send)
        else:
            request = _Request(self, arrived, scope, receive, send)
            self.limit.in_flight += 1
            try:
                await self.app(scope, request.receive, request.send)
            finally:
                request.end()

    def _exceeds_share(self, path: str) -> bool:
        matches = [prefix for prefix in self.shares_by_path if path.startswith(prefix)]
        share = self.shares_by_path[max(matches, key=len)] if matches else 1
        return share < 1 and self.limit.in_flight >= share * self.limit.value


class _Request:
    """A request that holds a slot, except while it waits for its client."""

    body_complete = started = streaming = in_background = False

    def __init__(
        self, owner: ConcurrencyLimit, arrived: float, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.owner, self.arrived, self.scope = owner, arrived, scope
        self.server_receive, self.server_send = receive, send

    async def receive(self) -> Message:
        """Receive a part of the body, without the slot. The request has not waited meanwhile."""
        if self.body_complete or self.started:
            return await self.server_receive()
        limit, since = self.owner.limit, time.monotonic()
        limit.in_flight -= 1
        try:
            message = await self.server_receive()
        finally:
            limit.in_flight += 1
            self.arrived += time.monotonic() - since
        self.body_complete = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response. While its body is sent, the request holds no slot."""
        if message["type"] == "http.response.start":
            self.started = True
            if message["status"] < 400:  # noqa: PLR2004 - errors are often faster
                self.owner.iteration.add_answer(self.scope.get("endpoint"), self.arrived)
            await self.server_send(message)
            return
        if not self.streaming:
            self.owner.limit.in_flight -= 1
            self.streaming = True
        await self.server_send(message)
        if not message.get("more_body", False):
            self.owner.limit.in_flight += 1
            self.streaming = False
            timed_out = self.scope.get("state", {}).get("timed_out")  # the work goes on: `Timeout`
            if not timed_out and self.owner.background < MAX_BACKGROUND:
                self.in_background = True
                self.owner.background += 1
                self.owner.iteration.free_slot()

    def end(self) -> None:
        """Free the slot, unless the request holds none."""
        if self.in_background:
            self.owner.background -= 1
        elif not self.streaming:
            self.owner.iteration.free_slot()


class _Iteration:
    """What happened in the current iteration of the event loop. It counts at the end of it."""

    def __init__(self, limit: AdaptiveLimit) -> None:
        self._limit = limit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began: float | None = None
        self._freed_slots = 0
        self._answers: list[tuple[object, float]] = []  # route, arrival

    def begin(self) -> float:
        """Return when this iteration began, or its first request."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # the last iteration of the other one may never have ended
            self._end()
            self._loop = loop
        if self._began is None:
            self._began = time.monotonic()
            loop.call_soon(self._end)
        return self._began

    def free_slot(self) -> None:
        """Free a slot at the end of this iteration."""
        self._freed_slots += 1
        if self._began is None:
            self.begin()

    def add_answer(self, route: object, arrived: float) -> None:
        """Observe at the end of this iteration that a request is answered."""
        self._answers.append((route, arrived))
        if self._began is None:
            self.begin()

    def _end(self) -> None:
        now = time.monotonic()
        self._limit.in_flight -= self._freed_slots
        for route, arrived in self._answers:
            self._limit.observe(route, arrived, now)
        self._began, self._freed_slots, self._answers = None, 0, []


async def _reject(scope: Scope, send: Send) -> None:
    scope.setdefault("state", {})["rejected"] = "concurrency_limit"
    await send_problem(scope, send, 503, REJECTED, [(b"retry-after", b"1")])
