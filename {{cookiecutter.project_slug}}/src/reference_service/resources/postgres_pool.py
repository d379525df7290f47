"""Whether requests still get connections from SQLAlchemy's pool."""

import time

from sqlalchemy import Pool, event
from sqlalchemy.pool import ConnectionPoolEntry

from ..health import Check, CheckFailed, CheckResult, Status

SATURATED_TOO_LONG = 5.0
"""Seconds for which no connection came back while all were lent."""


class PoolExhausted(CheckFailed):
    """Every connection is lent and none comes back: requests wait in vain."""


class PoolGauge:
    """Watches the pool's loans without borrowing: how many are out, and since when all are."""

    def __init__(self, pool: Pool, capacity: int) -> None:
        self.capacity = capacity
        self._lent: set[ConnectionPoolEntry] = set()
        self._last_change = time.monotonic()
        event.listen(pool, "checkout", self._lend)
        event.listen(pool, "checkin", self._take_back)

    @property
    def lent(self) -> int:
        """The number of connections that requests hold."""
        return len(self._lent)

    def _lend(self, _: object, entry: ConnectionPoolEntry, __: object) -> None:
        self._lent.add(entry)
        self._last_change = time.monotonic()

    def _take_back(self, _: object, entry: ConnectionPoolEntry) -> None:
        """Forget a loan. SQLAlchemy also checks in what failed to connect, and so never was one."""
        if entry in self._lent:
            self._lent.remove(entry)
            self._last_change = time.monotonic()

    def saturated_for(self) -> float:
        """Return for how many seconds all connections have been lent without one coming back.

        A full pool that flows is at work; one that does not is leaking, or waits for a lock.
        """
        return time.monotonic() - self._last_change if self.lent >= self.capacity else 0.0


def pool_check(gauge: PoolGauge) -> Check:
    """Return the check that requests still get connections. It costs nothing: every second."""

    async def check() -> CheckResult:
        seconds = gauge.saturated_for()
        seen = {"lent": gauge.lent, "capacity": gauge.capacity}
        if seconds >= SATURATED_TOO_LONG:
            raise PoolExhausted("no connection has come back in time", seconds=seconds, **seen)
        if gauge.lent >= gauge.capacity:
            return CheckResult(Status.WARN, "all connections are lent", seen)
        return CheckResult(data=seen)

    return Check("postgres.pool", check, interval=1.0, threshold=1)
