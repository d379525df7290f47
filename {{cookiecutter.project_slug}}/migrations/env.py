"""Migrates the database of DATABASE_URL to the schema of this build: `alembic upgrade head`.

Every replica may run this when it starts. One migrates; the others wait and find nothing to do.
"""

import asyncio
import logging

from alembic import context
from alembic.script.revision import MultipleHeads, ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

import reference_service.app  # noqa: F401 - imports the tables of every domain into METADATA
from reference_service.dependencies.postgres import (
    METADATA,
    Postgres,
    PostgresSettings,
    errors,
)
from reference_service.environment import SettingsError, read_section
from reference_service.redaction import redact

TURN_TIMEOUT = 60.0  # seconds to wait while another process migrates
POLL_INTERVAL = 0.2  # seconds between attempts to take the lock
LOCK_TIMEOUT = "3s"  # how long a migration waits for a table; other statements wait behind it

# The lock and the timeouts belong to transactions, because a connection pooler gives a session to
# other clients between two transactions. The lock has a connection of its own, because migrations
# end their transactions. The attempt does not wait: a waiting statement would block some of them,
# for example CREATE INDEX CONCURRENTLY. An idle transaction does not, if its last statement was no
# query: the snapshot of a query is kept until the next statement.
TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(27422255623596387)")  # "alembic" as a number
STAY_OPEN = text("SET LOCAL idle_in_transaction_session_timeout = 0")
SET_LOCK_TIMEOUT = text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")

DATABASE_ERRORS = errors.DatabaseUnavailableError, errors.StatementTimeoutError


async def migrate() -> None:
    """Run the command in the database, one process at a time."""
    postgres = Postgres(read_section(PostgresSettings))
    try:
        async with postgres.engine.connect() as turn, postgres.engine.connect() as connection:
            await _wait_for_turn(turn)
            await connection.run_sync(_run_migrations)
    finally:
        await postgres.close()


async def _wait_for_turn(connection: AsyncConnection) -> None:
    """Wait until no other process migrates. The turn ends with the connection's transaction."""
    try:
        async with asyncio.timeout(TURN_TIMEOUT):
            while not await connection.scalar(TRY_LOCK):
                await connection.rollback()
                await asyncio.sleep(POLL_INTERVAL)
            await connection.execute(STAY_OPEN)
    except TimeoutError as error:
        raise CommandError(f"Another process has been migrating for {TURN_TIMEOUT:g} s.") from error


def _run_migrations(connection: Connection) -> None:
    event.listen(connection, "begin", lambda begun: begun.execute(SET_LOCK_TIMEOUT))
    context.configure(
        connection=connection,
        target_metadata=METADATA,  # --autogenerate and check compare the database with this
        compare_server_default=True,
        transaction_per_migration=True,  # locks are held during one migration, not during all
    )
    with context.begin_transaction():
        context.run_migrations()


def _explain(error: Exception) -> str:
    """Return one sentence: what is wrong, and what to do."""
    match error:
        case CommandError(__cause__=MultipleHeads(heads=heads)):
            return (
                f"The migrations have several heads, {' and '.join(heads)}: join them with "
                "`alembic merge heads`, or upgrade to `heads` if they are meant to stay apart."
            )
        case CommandError(__cause__=ResolutionError()):
            return f"{error}; run the build that has it, or in development `make clean-data`."
        case CommandError() | SettingsError():
            return str(error)
        case errors.PreparedStatementLostError():
            return "The URL leads to a connection pooler: set DATABASE_PREPARED_STATEMENTS=false."
        case errors.CannotConnectError():
            return f"The database cannot be reached: {error}"
        case errors.LockTimeoutError():
            cause = f"it waited {LOCK_TIMEOUT} for a table in use; try again."
        case _:
            cause = str(errors.root_cause(error)).partition("\n")[0]
    return f"The migration's transaction was rolled back: {cause}"


def print_sql() -> None:
    """Print the SQL for `--sql`, so that somebody else can run it."""
    context.configure(dialect_name="postgresql", target_metadata=METADATA, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


logging.basicConfig(format="%(message)s")
logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)  # names each migration
logging.getLogger("alembic.util.messaging").disabled = True  # it also prints what it logs

if context.is_offline_mode():
    print_sql()
else:
    try:
        asyncio.run(migrate())
    except (CommandError, SettingsError, SQLAlchemyError, *DATABASE_ERRORS) as error:
        raise CommandError(redact(_explain(error))) from error
