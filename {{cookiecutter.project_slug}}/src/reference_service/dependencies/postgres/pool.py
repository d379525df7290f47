"""SQLAlchemy's pool: which connections are in use, and which must not be used again."""

import time

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import Pool, event, exc
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from ...health import Check, CheckFailed, CheckResult, Status

MAX_SATURATED_SECONDS = 5.0  # without a returned connection a saturated pool is then exhausted
MIN_DISCARD_INTERVAL = 1.0  # seconds between two times that all connections are discarded


class PoolExhausted(CheckFailed):
    """Every connection is in use and none is returned, so requests time out."""


class PoolUsage:
    """Counts the connections that are in use, from the pool's events. It takes none itself.

    A connection that the server has closed, or that was opened before the last `discard`, is
    replaced before a request gets it.
    """

    def __init__(self, pool: Pool, max_size: int) -> None:
        self.max_size = max_size
        self._in_use: set[ConnectionPoolEntry] = set()
        self._last_change = self._last_discard = time.monotonic()
        event.listen(pool, "connect", self._on_connect)
        event.listen(pool, "checkout", self._on_checkout)
        event.listen(pool, "checkin", self._on_checkin)

    @property
    def in_use(self) -> int:
        """The number of connections that requests use."""
        return len(self._in_use)

    def discard(self) -> None:
        """Replace every connection that is open now before its next use, at most once a second."""
        if time.monotonic() - self._last_discard >= MIN_DISCARD_INTERVAL:
            self._last_discard = time.monotonic()

    def _on_connect(self, _: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        entry.info["opened_at"] = time.monotonic()

    def _on_checkout(
        self, connection: DBAPIConnection, entry: ConnectionPoolEntry, _: object
    ) -> None:
        driver: asyncpg.Connection = connection.driver_connection
        if driver.is_closed() or entry.info["opened_at"] < self._last_discard:
            driver.terminate()  # at once: closing it would wait for a server that may be gone
            raise exc.DisconnectionError
        self._in_use.add(entry)
        self._last_change = time.monotonic()

    def _on_checkin(self, _: object, entry: ConnectionPoolEntry) -> None:
        """Forget a connection. SQLAlchemy also checks in connections that it could not open."""
        if entry in self._in_use:
            self._in_use.remove(entry)
            self._last_change = time.monotonic()

    def saturated_for(self) -> float:
        """Return for how many seconds all connections have been in use and none was returned.

        A pool that returns none is not busy: requests leak connections or wait for a lock.
        """
        return time.monotonic() - self._last_change if self.in_use >= self.max_size else 0.0


def pool_check(usage: PoolUsage) -> Check:
    """Return the check that requests still get connections. It is free, so it runs every second."""

    async def check() -> CheckResult:
        seconds = usage.saturated_for()
        data = {"in_use": usage.in_use, "max": usage.max_size}
        if seconds >= MAX_SATURATED_SECONDS:
            raise PoolExhausted("no connection was returned in time", seconds=seconds, **data)
        if usage.in_use >= usage.max_size:
            return CheckResult(Status.WARN, "all connections are in use", data)
        return CheckResult(data=data)

    return Check("postgres.pool", check, interval=1.0, failure_threshold=1)
