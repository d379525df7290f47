"""The checks of the PostgreSQL server: it has the role that the service needs, and commits."""

import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

import asyncpg  # type: ignore[import-untyped]

from ...health import Check, CheckFailed, CheckResult, Status
from .check_connection import CheckConnection

# Sends a query and returns the first row of the result.
FetchRow = Callable[[str], Awaitable[asyncpg.Record | None]]

PostgresCheck = partial(  # creates a check that sends a query
    Check,
    permanent=(
        asyncpg.InvalidAuthorizationSpecificationError,  # includes a wrong password
        asyncpg.InvalidCatalogNameError,
        asyncpg.InsufficientPrivilegeError,
        ssl.SSLCertVerificationError,
    ),
    attributes={"db.system.name": "postgresql", "db.operation.name": "SELECT"},
)

# A restarted server, or another one behind the same name, has another start time. The function
# `pg_stat_get_activity` locks no catalog, as the view `pg_stat_activity` does.
SERVER_QUERY = """
    SELECT pg_is_in_recovery() AS in_recovery,
           current_setting('transaction_read_only')::bool AS read_only,
           pg_postmaster_start_time()::text AS started_at,
           pg_backend_pid() AS pid,
           ARRAY(
               SELECT ARRAY[pid, extract(epoch FROM clock_timestamp() - state_change)]::float[]
               FROM unnest($1::int[]) AS id, pg_stat_get_activity(id) WHERE state LIKE 'idle%'
           ) AS idle
    """
ROLE_QUERY = """
    SELECT pg_is_in_recovery() AS in_recovery,
           current_setting('transaction_read_only')::bool AS read_only
    """
NOT_PERMITTED = asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedFunctionError

# A message in the write-ahead log, which nothing reads. Its transaction ends as a client's does:
# the log is flushed, and the synchronous standbys confirm it. It needs no table and no grant.
COMMIT = "SELECT pg_logical_emit_message(true, 'health', '')"


class InRecovery(CheckFailed):
    """The server is a standby and rejects writes."""


class NotInRecovery(CheckFailed):
    """The server is a primary, but the service expects a standby."""


class ReadOnly(CheckFailed):
    """The server rejects writes, for example because of `default_transaction_read_only`."""


# With these errors the check fails, while requests can succeed: on connections that are open
# already, or if they only read.
SESSIONS_WORK = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidPasswordError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidSQLStatementNameError,  # through a pooler, with some of its sessions
    asyncpg.DuplicatePreparedStatementError,
)
READS_WORK = InRecovery, NotInRecovery, ReadOnly


class Pool(Protocol):
    """The connections of requests, as far as the check of the server cares for them."""

    def waiting_pids(self) -> list[int]:
        """Return the server's processes that have not answered a statement for a while."""

    def on_idle(self, pids: Mapping[int, float], round_trip: float) -> None:
        """Close connections whose statement or answer was lost.

        pids: the processes that run no statement, and for how many seconds. round_trip: seconds.
        """

    def on_server(self, server: str) -> None:
        """Discard the connections to another server than this one."""


def server_check(connection: CheckConnection, role: str, pool: Pool | None = None) -> Check:
    """Return the check that the server has the role. It sends one query in one round trip.

    Of the connections of a pool to a primary, it closes those that the server believes to be idle
    while a request waits for an answer: a firewall or a proxy has dropped what was sent.
    """

    async def check() -> CheckResult:
        waiting = pool.waiting_pids() if pool else []
        sent_at = time.monotonic()
        try:
            row = await connection.fetch_row(SERVER_QUERY, waiting)
        except NOT_PERMITTED:  # requests do not need the other functions
            row = await connection.fetch_row(ROLE_QUERY)
        data = dict(row) if row else {}
        server, pid, idle = (data.pop(name, None) for name in ("started_at", "pid", "idle"))
        try:
            _require_role(role, data)
        except CheckFailed:
            connection.replace()  # the right server may have the same address by now
            raise
        if pool and server and role == "primary":
            pool.on_server(server)
            if pid == connection.server_pid:  # not so behind a pooler, which has ids of its own
                pool.on_idle({int(pid): each for pid, each in idle}, time.monotonic() - sent_at)
        if error := connection.replacement_error:
            detail = f"open connections work, but no new one can be opened: {error}"
            return CheckResult(Status.WARN, detail, data)
        return CheckResult(data=data)

    return PostgresCheck("postgres", check)


def _require_role(role: str, data: Mapping[str, Any]) -> None:
    """Raise CheckFailed if a server cannot serve the role."""
    if role == "standby":
        if not data["in_recovery"]:
            raise NotInRecovery("the server is a primary, not a standby", **data)
    elif data["in_recovery"]:
        raise InRecovery("the server is a standby and rejects writes", **data)
    elif data["read_only"]:
        raise ReadOnly("transactions are read-only", **data)


def write_check(connection: CheckConnection) -> Check:
    """Return the check that a commit completes. It writes about 60 bytes, and the commit.

    A server without the function, or one that forbids it, passes: nothing is known of its commits.
    """

    async def check() -> CheckResult:
        try:
            await connection.execute(COMMIT)
        except NOT_PERMITTED as error:
            detail = f"commits are not proven: {type(error).__name__}: pg_logical_emit_message"
            return CheckResult(detail=detail)
        except asyncpg.PostgresError:
            connection.replace()
            raise
        return CheckResult()

    return PostgresCheck("postgres.write", check)
