"""The checks of MariaDB or MySQL: a write that is committed, and a replica that is up to date."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiomysql  # type: ignore[import-untyped]

from ..health import Check, CheckFailed, CheckResult, PermanentFailure, Status, tasks

RECONNECT_INTERVAL = 60.0  # seconds: an old connection works with an old password
REPLACE_AFTER = 30.0  # seconds after which a statement that hangs gets another connection
WRITE = "REPLACE INTO health_check (id, checked_at) VALUES (1, UTC_TIMESTAMP(6))"


class AccessDenied(PermanentFailure):
    """The server rejects the user or the password, or a privilege is missing."""


class ReadOnly(CheckFailed):
    """The server rejects writes: it is a replica, or it was made read-only."""


class ReplicaOutdated(CheckFailed):
    """The replica lags, or it receives or applies no changes, so its data is old."""


class ServerError(CheckFailed):
    """The server is unreachable, or rejects a statement. `code` is its error code."""


class TooManyConnections(CheckFailed):
    """The limit of connections of the server or of the user is reached."""


ERRORS: dict[int, type[CheckFailed]] = {
    **dict.fromkeys((1040, 1203, 1226), TooManyConnections),
    **dict.fromkeys((1290, 1792, 1836), ReadOnly),
    **dict.fromkeys((1044, 1045, 1142, 1143, 1698), AccessDenied),
}
Connect = Callable[[], Awaitable[Any]]


def primary_check(connect: Connect, *, name: str = "mariadb") -> Check:
    """Return the check that a write is committed. It needs the table `health_check`.

    connect: opens a connection of aiomysql with `autocommit=True`, for this check alone.
    """

    async def ask(cursor: Any) -> CheckResult:
        await cursor.execute(WRITE)
        return CheckResult(data={"role": "primary"})

    return Check(name, _Session(connect, ask).check, attributes={"db.system.name": "mariadb"})


def replica_check(connect: Connect, *, max_lag: int = 30, name: str = "mariadb.replica") -> Check:
    """Return the check that a replica is at most `max_lag` seconds behind its primary."""

    async def ask(cursor: Any) -> CheckResult:
        await cursor.execute("SHOW REPLICA STATUS")
        row = await cursor.fetchone() or {}
        row = {key.replace("Slave", "Replica"): row[key] for key in row}
        state = row.get("Replica_IO_Running", "No"), row.get("Replica_SQL_Running", "No")
        lag = row.get("Seconds_Behind_Master", row.get("Seconds_Behind_Source"))
        data = {"receiving": state[0], "applying": state[1], "lag": lag}
        if state != ("Yes", "Yes") or lag is None or lag > max_lag:
            raise ReplicaOutdated("the data of the replica is old", **data)
        return CheckResult(data=data)

    return Check(name, _Session(connect, ask).check, attributes={"db.system.name": "mariadb"})


class _Session:
    """One connection. A statement that hangs is not repeated, or sessions would pile up."""

    def __init__(self, connect: Connect, ask: Callable[[Any], Awaitable[CheckResult]]) -> None:
        self._connect, self._ask = connect, ask
        self._connection: Any = None
        self._running: asyncio.Task[CheckResult] | None = None
        self._started_at = self._reconnect_at = 0.0

    async def check(self) -> CheckResult:
        now = asyncio.get_running_loop().time()
        if not self._running or self._running.done() or now > self._started_at + REPLACE_AFTER:
            if self._running:
                self._running.cancel()  # this closes its connection, unless it has ended
            self._running, self._started_at = asyncio.create_task(self._attempt(now)), now
            tasks.ignore_exception(self._running)  # the attempt may have been abandoned
        return await asyncio.shield(self._running)

    async def _attempt(self, now: float) -> CheckResult:
        try:
            warning = await self._open(now)
            async with self._connection.cursor(aiomysql.DictCursor) as cursor:
                result = await self._ask(cursor)
        except aiomysql.Error as error:
            if (code := error.args[0]) == 1227:  # noqa: PLR2004 - the user lacks REPLICA MONITOR
                return CheckResult(Status.WARN, "the lag is unknown: a privilege is missing")
            if self._connection:
                self._connection.close()
            raise ERRORS.get(code, ServerError)("the server reports an error", code=code) from None
        return CheckResult(Status.WARN, warning, result.data) if warning else result

    async def _open(self, now: float) -> str:
        """Replace an old connection. Return a warning if only the old one can be used."""
        usable = self._connection and not self._connection.closed
        if usable and now < self._reconnect_at:
            return ""
        try:
            connection = await self._connect()
        except aiomysql.Error as error:
            if not usable or ERRORS.get(error.args[0]) is not TooManyConnections:
                raise
            return "the server accepts no new connection"
        if usable:
            self._connection.close()
        self._connection, self._reconnect_at = connection, now + RECONNECT_INTERVAL
        return ""
