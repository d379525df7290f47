"""Refuses requests beyond a number in flight, at once."""

from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from .problem import send_problem


class ConcurrencyLimit:
    """Answers 503 with `Retry-After` while `limit` requests are in flight.

    A refusal costs microseconds, so what was accepted still gets its answer in time.

    tally: counts the `http_requests_rejected`.
    """

    def __init__(self, app: ASGIApp, *, limit: int, tally: Counter[str] | None = None) -> None:
        self.app = app
        self.limit = limit
        self.tally = Counter[str]() if tally is None else tally
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.in_flight >= self.limit:
            self.tally["http_requests_rejected"] += 1
            detail = "The service is at its limit of requests in flight; try again."
            await send_problem(scope, send, 503, detail, [(b"retry-after", b"1")])
            return
        self.in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.in_flight -= 1
