"""Reject requests at once when too many are in flight."""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from .problem import send_problem


class ConcurrencyLimit:
    """Answer 503 with `Retry-After` while `limit` requests are in flight.

    A rejection takes a fraction of a millisecond, so it hardly delays accepted requests.

    on_reject: called for each rejected request.
    """

    def __init__(
        self, app: ASGIApp, *, limit: int, on_reject: Callable[[], None] = lambda: None
    ) -> None:
        self.app = app
        self.limit = limit
        self.on_reject = on_reject
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, or reject it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.in_flight >= self.limit:
            self.on_reject()
            scope.setdefault("state", {})["rejected"] = "concurrency_limit"
            detail = "The service is at its limit of requests in flight; try again."
            await send_problem(scope, send, 503, detail, [(b"retry-after", b"1")])
            return
        self.in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.in_flight -= 1
