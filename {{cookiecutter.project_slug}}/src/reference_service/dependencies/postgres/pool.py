"""SQLAlchemy's pool: which connections are in use, and which must not be used again."""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import cast

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import Connection, Engine, event, exc
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from ...health import Check, CheckFailed, CheckResult, Status

MAX_SATURATED_SECONDS = 5.0  # without a returned connection a saturated pool is then exhausted
MIN_DISCARD_INTERVAL = 1.0  # seconds between two times that all connections are discarded
SUSPECT_AFTER = 0.5  # seconds after which a check asks what holds a statement, or a full pool
RETURN_POLL_INTERVAL = 0.01  # seconds between two looks for a connection that is returned
LOST_AFTER = 1.0  # seconds, and two round trips, after which its answer would have arrived


class PoolExhausted(CheckFailed):
    """Every connection is in use and none is returned, so requests time out."""


class PoolUsage:
    """Knows from events which connections are in use. It takes none itself.

    A connection that the server has closed, or that was opened before the last `discard`, is
    replaced before a request gets it.

    on_suspicion: called when a statement or its answer may be lost, so that the check asks again.
    """

    def __init__(self, engine: Engine, max_size: int, on_suspicion: Callable[[], None]) -> None:
        self._pool = cast(QueuePool, engine.pool)
        self.max_size = max_size
        self._on_suspicion = on_suspicion
        self._in_use: set[ConnectionPoolEntry] = set()
        self._statements: dict[asyncpg.Connection, float] = {}  # when each one was sent
        self._last_change = time.monotonic()
        self._last_discard = -math.inf
        self._server = ""  # identifies the server that the check saw last
        event.listen(engine.pool, "connect", self._on_connect)
        event.listen(engine.pool, "checkout", self._on_checkout)
        event.listen(engine.pool, "checkin", self._on_checkin)
        event.listen(engine, "before_cursor_execute", self._on_statement)
        event.listen(engine, "after_cursor_execute", self.end_statement)

    @property
    def in_use(self) -> int:
        """The number of connections that requests use."""
        return len(self._in_use)

    @property
    def is_full(self) -> bool:
        """Whether a request would have to wait: connections that are being opened count too."""
        return self._pool.checkedout() >= self.max_size

    async def wait_for_idle(self) -> bool:
        """Wait for one of the connections in use. Return whether one is idle."""
        latest = time.monotonic() + self._pool.timeout()
        while self._in_use and not self._pool.checkedin():
            if time.monotonic() > latest:
                break
            await asyncio.sleep(RETURN_POLL_INTERVAL)
        return self._pool.checkedin() > 0

    def discard(self) -> None:
        """Replace every connection that is open now before its next use, at most once a second."""
        if time.monotonic() - self._last_discard >= MIN_DISCARD_INTERVAL:
            self._last_discard = time.monotonic()

    def waiting_pids(self) -> list[int]:
        """Return the server's processes that have not answered a statement for a while."""
        latest = time.monotonic() - SUSPECT_AFTER
        waiting = [each for each, sent_at in self._statements.items() if sent_at < latest]
        return [each.get_server_pid() for each in waiting if not each.is_closed()]

    def on_idle(self, pids: Mapping[int, float], round_trip: float) -> None:
        """Close connections whose statement or answer was lost, and discard all others.

        pids: the processes that run no statement, and for how many seconds. round_trip: seconds.

        Requests that wait fail with ConnectionLostError, and a read is run again.
        """
        if pids:
            self._on_suspicion()
        self._close({pid for pid, idle in pids.items() if idle > LOST_AFTER + 2 * round_trip})

    def _close(self, lost: Collection[int]) -> None:
        for connection in list(self._statements):
            if not connection.is_closed() and connection.get_server_pid() in lost:
                connection.terminate()
        if lost:
            self.discard()

    def on_server(self, server: str) -> None:
        """Discard the connections to another server than this one, and close those that wait."""
        if self._server not in {"", server}:
            self._close(self.waiting_pids())
            self.discard()
        self._server = server

    def end_statement(self, connection: Connection, *_: object) -> None:
        """Note that a statement has ended, with a result or an error."""
        self._statements.pop(connection.connection.driver_connection, None)

    def _on_statement(self, connection: Connection, *_: object) -> None:
        self._statements[connection.connection.driver_connection] = time.monotonic()

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

    def _on_checkin(self, connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        """Forget a connection. SQLAlchemy also checks in connections that it could not open."""
        if connection is not None:
            self._statements.pop(connection.driver_connection, None)
        for closed in [each for each in self._statements if each.is_closed()]:
            del self._statements[closed]
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
