"""Runs the statements of requests, on the connections of a pool."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import ExceptionContext, Executable, Row, event, exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ...traffic import CircuitBreaker
from .. import FailureCallback
from ..tls import FAILURES
from . import errors
from .checks import READS_WORK, SESSIONS_WORK
from .connect import Connector
from .pool import SUSPECT_AFTER, PoolUsage
from .settings import PostgresSettings

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
"""Executes statements on a connection. It may be called twice, so it must do nothing else."""

DIALECT = "postgresql+asyncpg://"
PREPARED_STATEMENTS = 100  # that each connection keeps
MAX_LOOKS = 3  # at a full pool, to tell one that is busy from one that returns no connection


class Statements:
    """Runs statements: `read`, `write` and `transaction`.

    What fails before its commit because of the connection, or because of another transaction, is
    run once more. While the checks of the server fail, they raise CircuitOpenError: reads go on if
    only writes cannot succeed.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        self.settings = settings
        self._connector = Connector(settings)
        cache_size = PREPARED_STATEMENTS if settings.prepared_statements else 0
        connect_args = {
            "async_creator_fn": self._connect_for_pool,
            "prepared_statement_cache_size": cache_size,
        }
        self.engine = create_async_engine(
            DIALECT,
            connect_args=connect_args,
            pool_size=settings.pool_size,
            max_overflow=settings.max_overflow,
            pool_timeout=settings.pool_timeout,
        )
        # A single statement that only reads needs no BEGIN and ROLLBACK: two round trips less.
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._failure_callbacks: list[FailureCallback] = []
        max_size = settings.pool_size + settings.max_overflow
        self.pool_usage = PoolUsage(self.engine.sync_engine, max_size, self._report_failure)
        self._warned_of_pooler = False
        self._spare = create_async_engine(DIALECT, connect_args=connect_args, poolclass=NullPool)
        for engine in (self.engine, self._spare):
            event.listen(engine.sync_engine, "handle_error", self._handle_error)
        written = ["postgres.write"] if settings.role == "primary" else []
        sessions_work = [*SESSIONS_WORK, *FAILURES]
        self._reads = CircuitBreaker("postgres", allow=[*sessions_work, *READS_WORK])
        self._writes = CircuitBreaker("postgres", *written, allow=sessions_work)

    def circuit_breakers(self) -> tuple[CircuitBreaker, ...]:
        """Return what rejects statements while the checks of the server fail."""
        return self._reads, self._writes

    async def read(self, statement: Executable) -> Sequence[Row[Any]]:
        """Return the rows of one statement that only reads. It sees the latest commit."""

        async def work(connection: AsyncConnection) -> Sequence[Row[Any]]:
            return (await connection.execute(statement)).all()

        return await self._reads.run(self._run, self._autocommit, work, commit=False)

    async def write(self, statement: Executable) -> Sequence[Row[Any]]:
        """Execute one statement in a transaction of its own, and return its rows."""

        async def work(connection: AsyncConnection) -> Sequence[Row[Any]]:
            result = await connection.execute(statement)
            return result.all() if result.returns_rows else []

        return await self.transaction(work)

    async def transaction(self, work: Work[T]) -> T:
        """Run `work` in one transaction, and return its result."""
        return await self._writes.run(self._run, self.engine, work, commit=True)

    async def try_work(self, work: Work[T]) -> T:
        """Run `work` as a request does, and roll it back. A check uses it, so it is never rejected.

        While the pool is full and no connection comes back, this opens one more, if it can.
        """
        usage = self.pool_usage
        for _ in range(MAX_LOOKS):
            if usage.is_full and (stuck := usage.saturated_for()) < SUSPECT_AFTER:
                await asyncio.sleep(SUSPECT_AFTER - stuck)
        if usage.saturated_for() >= SUSPECT_AFTER:
            with contextlib.suppress(errors.CannotConnectError):
                return await self._run(self._spare, work, commit=False)
        return await self._run(self.engine, work, commit=False)

    async def _run(self, engine: AsyncEngine, work: Work[T], *, commit: bool) -> T:
        try:
            return await self._run_once(engine, work, commit=commit)
        except errors.CannotConnectError as error:
            if not error.server_is_full or not await self.pool_usage.wait_for_idle():
                raise
        except errors.DatabaseUnavailableError as error:
            if not error.retryable:
                raise
        return await self._run_once(engine, work, commit=commit)

    async def _run_once(self, engine: AsyncEngine, work: Work[T], *, commit: bool) -> T:
        try:
            async with engine.connect() as connection:
                result = await work(connection)
                if commit:
                    await _commit(connection)
                return result
        except exc.TimeoutError:  # of the pool
            self._report_failure()
            raise

    async def connect(self, timeout: float) -> asyncpg.Connection:  # noqa: ASYNC109 - asyncpg's
        """Open a connection. Raises TimeoutError after `timeout` seconds."""
        return await self._connector.connect(timeout)

    async def _connect_for_pool(self) -> asyncpg.Connection:
        try:
            return await self.connect(self.settings.connect_timeout)
        except errors.CONNECT_ERRORS as error:
            self._report_failure()
            failure = errors.CannotConnectError(str(error) or type(error).__name__)
            failure.server_is_full = isinstance(error, asyncpg.TooManyConnectionsError)
            raise failure from error

    def _handle_error(self, context: ExceptionContext) -> Exception | None:
        """Return what an error of the driver means to the request. None: the error itself."""
        context.invalidate_pool_on_disconnect = False  # the others are checked when they are used
        if context.connection is not None and not context.connection.invalidated:
            self.pool_usage.end_statement(context.connection)
        error = errors.explain(context.original_exception, disconnected=context.is_disconnect)
        if error is None or not isinstance(context.original_exception, Exception):
            return None
        if isinstance(error, errors.WriteRefusedError):
            self.pool_usage.discard()
        if isinstance(error, errors.PreparedStatementLostError) and not self._warned_of_pooler:
            self._warned_of_pooler = True
            log.error(
                "prepared statement lost; set DATABASE_PREPARED_STATEMENTS=false for a pooler"
            )
        if isinstance(error, errors.DatabaseUnavailableError) and error.discards:
            context.is_disconnect = True
        self._report_failure()
        return error

    def on_failure(self, callback: FailureCallback) -> None:
        """Call `callback` from now on whenever a request fails because of the database."""
        self._failure_callbacks.append(callback)

    def _report_failure(self) -> None:
        for callback in self._failure_callbacks:
            callback("postgres")


async def _commit(connection: AsyncConnection) -> None:
    """Commit. After a lost connection it is unknown whether it happened, so there is no retry."""
    try:
        await connection.commit()
    except errors.DatabaseUnavailableError as error:
        if error.discards:
            raise errors.CommitUnknownError(str(error)) from error
        raise
