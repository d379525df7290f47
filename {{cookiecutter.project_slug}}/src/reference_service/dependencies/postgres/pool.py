"""Whether requests still get connections from SQLAlchemy's pool."""

import time

from sqlalchemy import Pool, event
from sqlalchemy.pool import ConnectionPoolEntry

from ...health import Check, CheckFailed, CheckResult, Status

SATURATED_TOO_LONG = 5.0
"""Seconds for which no connection came back while all were in_use."""


class PoolExhausted(CheckFailed):
    """Every connection is in_use and none comes back: requests wait in vain."""


class PoolUsage:
    """Watches the pool's loans without borrowing: how many are out, and since when all are."""

    def __init__(self, pool: Pool, max_size: int) -> None:
        self.max_size = max_size
        self._in_use: set[ConnectionPoolEntry] = set()
        self._last_change = time.monotonic()
        event.listen(pool, "checkout", self._on_checkout)
        event.listen(pool, "checkin", self._on_checkin)

    @property
    def in_use(self) -> int:
        """The number of connections that requests hold."""
        return len(self._in_use)

    def _on_checkout(self, _: object, entry: ConnectionPoolEntry, __: object) -> None:
        self._in_use.add(entry)
        self._last_change = time.monotonic()

    def _on_checkin(self, _: object, entry: ConnectionPoolEntry) -> None:
        """Forget a loan. SQLAlchemy also checks in what failed to connect, and so never was one."""
        if entry in self._in_use:
            self._in_use.remove(entry)
            self._last_change = time.monotonic()

    def saturated_for(self) -> float:
        """Return for how many seconds all connections have been in_use without one coming back.

        A full pool that flows is at work; one that does not is leaking, or waits for a lock.
        """
        return time.monotonic() - self._last_change if self.in_use >= self.max_size else 0.0


def pool_check(gauge: PoolUsage) -> Check:
    """Return the check that requests still get connections. It costs nothing: every second."""

    async def check() -> CheckResult:
        seconds = gauge.saturated_for()
        seen = {"in_use": gauge.in_use, "max": gauge.max_size}
        if seconds >= SATURATED_TOO_LONG:
            raise PoolExhausted("no connection has come back in time", seconds=seconds, **seen)
        if gauge.in_use >= gauge.max_size:
            return CheckResult(Status.WARN, "all connections are in_use", seen)
        return CheckResult(data=seen)

    return Check("postgres.pool", check, interval=1.0, failure_threshold=1)
