"""The check of a domain: its own statements succeed, in a transaction that is rolled back."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import CursorResult, Executable, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from ...health import Check, CheckFailed, PermanentFailure
from .client import Postgres
from .errors import (
    CannotConnectError,
    DatabaseUnavailableError,
    StatementTimeoutError,
    root_cause,
)

INTERVAL = 60.0  # seconds between attempts: each one writes
TIMEOUT = 10.0  # seconds: 15 round trips, after those that open a connection, of 400 ms each
FAILURE_THRESHOLD = 2  # an attempt has several statements, and runs again what can be repeated
# They bound each step by its time in the server, so a slow network is not a failure. Limits of the
# role stay, because they also bound what requests do.
STEP_TIMEOUTS = text(
    """
    SELECT set_config(name, coalesce(nullif(current_setting(name), '0'), value), true)
    FROM (VALUES ('lock_timeout', '500ms'), ('statement_timeout', '1s')) AS limits (name, value)
    """
)
# Makes the database check now what it otherwise checks when a transaction commits.
CHECK_CONSTRAINTS = text("SET CONSTRAINTS ALL IMMEDIATE")

Step = Callable[[str, Executable], Awaitable[CursorResult[Any]]]
"""Executes a statement under the name of a step, for example "insert".

A step that writes must change a row. Execute `CHECK_CONSTRAINTS` before the steps delete what they
have written: a request commits it.
"""


class OperationFailed(CheckFailed):
    """A step of the work failed. Requests that take it fail too."""


class OperationRejected(PermanentFailure):
    """The database rejects a step: a privilege, a table or a column is missing."""


def work_check(name: str, postgres: Postgres, steps: Callable[[Step], Awaitable[None]]) -> Check:
    """Return the check that the steps of a domain's work succeed, as they do for a request.

    They run on a connection of the pool, so a busy pool makes the check wait as it makes clients
    wait. A pool that returns no connection does not hide why. Nothing is committed:
    `postgres.write` proves commits. Other transactions wait for it only if they write the same
    value of a unique column.
    """

    async def work(connection: AsyncConnection) -> None:
        async def step(name: str, statement: Executable) -> CursorResult[Any]:
            try:
                result = await connection.execute(statement)
            except DatabaseUnavailableError as error:
                if error.retryable:
                    raise  # `postgres.try_work` runs all steps again
                raise OperationFailed(f"{name}: {type(root_cause(error)).__name__}") from error
            except (StatementTimeoutError, SQLAlchemyError) as error:
                raise _failure(name, root_cause(error)) from error
            if statement.is_dml and result.rowcount == 0:  # a policy or a trigger has left it out
                raise OperationFailed(f"{name}: no row was changed")
            return result

        await connection.execute(STEP_TIMEOUTS)
        await steps(step)

    async def check() -> None:
        try:
            await postgres.try_work(work)
        except CannotConnectError as error:
            if isinstance(error.__cause__, TimeoutError):
                raise TimeoutError from error  # so that `ready` answers 504
            raise

    return Check(
        name,
        check,
        part_of="postgres",
        timeout=TIMEOUT,
        interval=INTERVAL,
        failure_threshold=FAILURE_THRESHOLD,
        attributes={"db.system.name": "postgresql"},
    )


def _failure(step: str, cause: BaseException) -> CheckFailed:
    detail = f"{step}: {type(cause).__name__}"
    rejected = isinstance(cause, asyncpg.SyntaxOrAccessError | asyncpg.InvalidSchemaNameError)
    return OperationRejected(detail) if rejected else OperationFailed(detail)
