"""The client of PostgreSQL: it runs statements for requests, and has the health checks."""

import asyncio
import contextlib
from collections.abc import Iterable

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import exc

from ...health import Check
from ...telemetry import Metric
from .. import Dependency
from ..certificates import watch
from . import errors
from .check_connection import CheckConnection
from .checks import NOT_PERMITTED, SERVER_QUERY, server_check, write_check
from .pool import pool_check
from .replication import replication_check
from .schema import find_migrations, schema_check
from .settings import PostgresSettings
from .statements import Statements

CHECK_LOCK_TIMEOUT = "200ms"  # how long a check waits for a lock while other checks wait for it


class Postgres(Statements, Dependency):
    """The database. asyncpg reads the URL, so libpq's `sslmode` and several hosts work."""

    unavailable_errors = (exc.TimeoutError, errors.DatabaseUnavailableError)
    timeout_errors = (errors.StatementTimeoutError,)

    def __init__(self, settings: PostgresSettings) -> None:
        super().__init__(settings)
        self._check_connections = [CheckConnection(self._connect_for_checks) for _ in range(2)]

    async def _connect_for_checks(self, timeout: float) -> asyncpg.Connection:  # noqa: ASYNC109
        connection = await self.connect(timeout)
        try:
            async with asyncio.timeout(timeout):
                if self.settings.prepared_statements:  # a pooler would apply it to others too
                    await connection.execute(f"SET lock_timeout = '{CHECK_LOCK_TIMEOUT}'")
                with contextlib.suppress(*NOT_PERMITTED):  # so that attempts need not prepare it
                    await connection.fetchrow(SERVER_QUERY, [])
        except BaseException:
            connection.terminate()
            raise
        return connection

    def checks(self) -> Iterable[Check]:
        """Return the checks of the server, its commits or its lag, the pool and the schema.

        They use two connections. Those that share one never fail each other: see decision 0008.
        """
        first, second = self._check_connections
        check = server_check(first, self.settings.role, self.pool_usage)
        yield watch(check, self._connector.inspect) if self._connector.encrypted else check
        yield schema_check(first, find_migrations())
        if self.settings.role == "standby":
            yield replication_check(second.fetch_row, self.settings.max_lag)
        else:
            yield write_check(second)
        yield pool_check(self.pool_usage)

    def metrics(self) -> Iterable[Metric]:
        """Return the number of connections in use, and its maximum."""
        usage = self.pool_usage
        in_use, maximum = "Connections of the pool in use.", "Maximum connections of the pool."
        yield Metric("postgres_pool_connections_in_use", in_use, lambda: usage.in_use)
        yield Metric("postgres_pool_connections_max", maximum, lambda: usage.max_size)

    async def close(self) -> None:
        """Close every connection."""
        for connection in self._check_connections:
            await connection.close()
        await self.engine.dispose()
