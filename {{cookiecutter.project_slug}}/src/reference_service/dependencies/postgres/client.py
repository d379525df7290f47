"""The client of PostgreSQL: a pool for requests, and for each health check its own connection."""

from collections.abc import Iterable

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import ExceptionContext, event, exc
from sqlalchemy.ext.asyncio import create_async_engine

from ...health import Check
from ...telemetry import Metric
from .. import Dependency, FailureCallback
from .check_connection import CheckConnection
from .checks import FetchRow, server_check
from .pool import PoolUsage, pool_check
from .replication import replication_check
from .schema import find_migrations, schema_check
from .settings import PostgresSettings


class CannotConnectError(ConnectionError):
    """A request needed a new connection and could not open one, for whatever reason."""


class ConnectionLostError(ConnectionError):
    """A connection was lost during a request, for example because the server restarted."""


class WriteRefusedError(Exception):
    """A request wrote to a server that rejects writes, for example after a failover."""


class Postgres(Dependency):
    """The database. asyncpg reads the URL, so libpq's `sslmode` and several hosts work."""

    unavailable_errors = (exc.TimeoutError, ConnectionError, WriteRefusedError)

    def __init__(self, settings: PostgresSettings) -> None:
        self.settings = settings
        self.engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect_for_pool,
            pool_size=settings.pool_size,
            max_overflow=settings.max_overflow,
            pool_timeout=settings.pool_timeout,
        )
        max_size = settings.pool_size + settings.max_overflow
        self.pool_usage = PoolUsage(self.engine.sync_engine.pool, max_size)
        self._check_connections: list[CheckConnection] = []

    async def connect(self, timeout: float) -> asyncpg.Connection:  # noqa: ASYNC109 - asyncpg's
        """Open a connection. Raises TimeoutError after `timeout` seconds."""
        return await asyncpg.connect(self.settings.url.get_secret_value(), timeout=timeout)

    async def _connect_for_pool(self) -> asyncpg.Connection:
        try:
            return await self.connect(self.settings.connect_timeout)
        except (asyncpg.PostgresError, OSError) as error:
            raise CannotConnectError(str(error) or type(error).__name__) from error

    def checks(self) -> Iterable[Check]:
        """Return the checks of the server, the pool, the schema and, on a standby, its lag."""
        yield server_check(self._new_check_connection(), self.settings.role)
        yield pool_check(self.pool_usage)
        yield schema_check(self._new_check_connection(), find_migrations())
        if self.settings.role == "standby":
            yield replication_check(self._new_check_connection(), self.settings.max_lag)

    def _new_check_connection(self) -> FetchRow:
        self._check_connections.append(CheckConnection(self.connect))
        return self._check_connections[-1].fetch_row

    def metrics(self) -> Iterable[Metric]:
        """Return the number of connections in use, and its maximum."""
        usage = self.pool_usage
        in_use, maximum = "Connections of the pool in use.", "Maximum connections of the pool."
        yield Metric("postgres_pool_connections_in_use", in_use, lambda: usage.in_use)
        yield Metric("postgres_pool_connections_max", maximum, lambda: usage.max_size)

    def on_failure(self, callback: FailureCallback) -> None:
        """Call `callback` when a request fails, and raise what `unavailable_errors` contains."""

        def handle_error(context: ExceptionContext) -> Exception | None:
            cause = context.original_exception.__cause__
            if context.is_disconnect:
                error: Exception = ConnectionLostError("the connection was lost")
            elif isinstance(cause, asyncpg.ReadOnlySQLTransactionError):
                error = WriteRefusedError("the server rejects writes")
            else:
                return None
            callback("postgres")
            return error

        event.listen(self.engine.sync_engine, "handle_error", handle_error)

    async def close(self) -> None:
        """Close every connection."""
        for connection in self._check_connections:
            connection.close()
        await self.engine.dispose()
