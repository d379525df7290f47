"""PostgreSQL: a pool for requests, and for each health check a connection of its own."""

from collections.abc import Iterable
from typing import Annotated, Literal

import asyncpg  # type: ignore[import-untyped]
from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import ExceptionContext, event, exc
from sqlalchemy.ext.asyncio import create_async_engine

from ...health import Check
from .. import FailureCallback
from .check_connection import ReservedConnection
from .checks import Fetchrow, schema_check, server_check
from .pool import PoolUsage, pool_check
from .replication import replication_check


def _is_dsn(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        message = "not the URL of a PostgreSQL server"
        raise ValueError(message)
    return url


class PostgresSettings(BaseSettings):
    """Where the database is and how many connections to hold. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    url: Annotated[SecretStr, AfterValidator(_is_dsn)] = Field(
        description="PostgreSQL to use, as postgresql://user:password@host:port/database."
    )
    pool_size: int = Field(
        # Each is opened when it is first needed. One beyond them is closed behind its request, and
        # opening it costs more than the request: a busy service would do little else.
        15,
        gt=0,
        description="Connections that stay open for requests.",
    )
    max_overflow: int = Field(
        0, ge=0, description="Further connections that a burst may open, each for one request."
    )
    pool_timeout: float = Field(
        5.0, gt=0, description="Seconds a request waits for a connection before it is answered 503."
    )
    connect_timeout: float = Field(
        5.0, gt=0, description="Seconds that opening a connection may take."
    )
    role: Literal["primary", "standby"] = Field(
        "primary", description="Whether the service needs to write, or reads from a replica."
    )
    max_lag: float = Field(
        5.0, gt=0, description="Seconds that a standby may be behind its primary."
    )


class CannotConnectError(ConnectionError):
    """A request needed a new connection and the server gave none, for whatever reason."""


class ConnectionLostError(ConnectionError):
    """A request's connection ended under it, as when the server restarts."""


class WriteRefusedError(Exception):
    """A request wanted to write and the server takes no writes, as after a failover."""


class Postgres:
    """The database. Its driver reads the URL, so all that libpq knows works: `sslmode`, hosts."""

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
        self.gauge = PoolUsage(
            self.engine.sync_engine.pool, settings.pool_size + settings.max_overflow
        )
        self._reserved: list[ReservedConnection] = []

    async def connect(self, within: float) -> asyncpg.Connection:
        """Open a connection. within: seconds that it may take."""
        return await asyncpg.connect(self.settings.url.get_secret_value(), timeout=within)

    async def _connect_for_pool(self) -> asyncpg.Connection:
        try:
            return await self.connect(self.settings.connect_timeout)
        except (asyncpg.PostgresError, OSError) as error:
            raise CannotConnectError(str(error) or type(error).__name__) from error

    def checks(self) -> Iterable[Check]:
        """Return the checks of the server, the pool, the schema and, on a standby, its lag."""
        yield server_check(self._reserve(), self.settings.role)
        yield pool_check(self.gauge)
        yield schema_check(self._reserve())
        if self.settings.role == "standby":
            yield replication_check(self._reserve(), self.settings.max_lag)

    def _reserve(self) -> Fetchrow:
        self._reserved.append(ReservedConnection(self.connect))
        return self._reserved[-1].fetchrow

    def on_failure(self, callback: FailureCallback) -> None:
        """Report a request that shows that the database fails, and name such a failure."""

        def name(context: ExceptionContext) -> Exception | None:
            cause = context.original_exception.__cause__
            fault: Exception
            if context.is_disconnect:
                fault = ConnectionLostError("the connection was lost")
            elif isinstance(cause, asyncpg.ReadOnlySQLTransactionError):
                fault = WriteRefusedError("the server takes no writes")
            else:
                return None
            callback("postgres")
            return fault

        event.listen(self.engine.sync_engine, "handle_error", name)

    async def close(self) -> None:
        """Close every connection."""
        for connection in self._reserved:
            connection.close()
        await self.engine.dispose()
