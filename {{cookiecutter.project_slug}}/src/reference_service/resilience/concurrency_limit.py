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
        if self.shares_by_path and self._exceeds_share(scope["path"]):
            self.limit.rejected += 1  # the limit itself is not reached
            await _reject(scope, send)
        elif self.limit.admits(arrived):
            await self._run(arrived, scope, receive, send)
        else:
            await _reject(scope, send)

    def _exceeds_share(self, path: str) -> bool:
        matches = [prefix for prefix in self.shares_by_path if path.startswith(prefix)]
        share = self.shares_by_path[max(matches, key=len)] if matches else 1
        return share < 1 and self.limit.in_flight >= share * self.limit.value

    async def _run(self, arrived: float, scope: Scope, receive: Receive, send: Send) -> None:
        body_complete = started = streaming = in_background = False

        async def receive_body() -> Message:
            nonlocal arrived, body_complete
            if body_complete or started:
                return await receive()
            since = time.monotonic()
            self.limit.in_flight -= 1
            try:
                message = await receive()
            finally:
                self.limit.in_flight += 1
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
                self.limit.in_flight -= 1
                streaming = True
            await send(message)
            if streaming and not message.get("more_body", False):
                self.limit.in_flight += 1
                streaming = False
                timed_out = scope.get("state", {}).get("timed_out")  # the work goes on, see Timeout
                in_background = not timed_out and self.background < MAX_BACKGROUND
                self.background += in_background
                self._ended += in_background
                self._begin_iteration()

        self.limit.in_flight += 1
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
        self.limit.in_flight -= self._ended
        for route, arrived in self._answered:
            self.limit.observe(route, arrived, now)
        self._iteration, self._ended, self._answered = None, 0, []


async def _reject(scope: Scope, send: Send) -> None:
    scope.setdefault("state", {})["rejected"] = "concurrency_limit"
    await send_problem(scope, send, 503, REJECTED, [(b"retry-after", b"1")])
