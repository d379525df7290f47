"""Detect clients that make no progress in sending a request or taking a response."""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from typing import NamedTuple

CHECKS_PER_TIMEOUT = 4  # of a connection, during its shortest timeout


class PendingIO(NamedTuple):
    """What a client has to do next."""

    kind: str  # `headers`, `body`, `response` or `next request`
    timeout: float  # seconds for which `progress` may stay the same
    progress: tuple[int, ...]  # how far the client is; only a change counts


class StallDetector:
    """Call `on_stall` when a client makes no progress within its timeout.

    One timer per connection checks periodically how often it has seen the same progress. So a
    request costs neither a timer nor a look at the clock, and a client has up to one period more.

    shortest_timeout: seconds; the shortest that `pending` returns.
    pending: returns what the client has to do now, or None while it is the service's turn.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        shortest_timeout: float,
        pending: Callable[[], PendingIO | None],
        on_stall: Callable[[PendingIO], None],
    ) -> None:
        self._loop = loop
        self._period = shortest_timeout / CHECKS_PER_TIMEOUT
        self._pending = pending
        self._on_stall = on_stall
        self._last: PendingIO | None = None
        self._stalled_checks = 0
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Check from now on, until the first stall or `stop`."""
        self._last = self._pending()
        self._timer = self._loop.call_later(self._period, self._check_progress)

    def stop(self) -> None:
        """Check no longer."""
        if self._timer is not None:
            self._timer.cancel()
        self._pending = lambda: None  # so that no reference to the connection is left
        self._on_stall = lambda _: None

    def _check_progress(self) -> None:
        pending = self._pending()
        self._stalled_checks = self._stalled_checks + 1 if pending == self._last else 0
        self._last = pending
        if pending and self._stalled_checks * self._period >= pending.timeout:
            self._on_stall(pending)
        else:
            self._timer = self._loop.call_later(self._period, self._check_progress)
