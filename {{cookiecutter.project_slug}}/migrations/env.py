"""Migrates the database of DATABASE_URL to the schema of this build: `alembic upgrade head`.

Every replica may run this when it starts. One migrates; the others wait and find nothing to do.
"""

import asyncio
import logging

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, event, text
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
# for example CREATE INDEX CONCURRENTLY. An idle transaction does not.
TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(27422255623596387)")  # "alembic" as a number
STAY_OPEN = text("SET LOCAL idle_in_transaction_session_timeout = 0")
SET_LOCK_TIMEOUT = text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")


async def migrate() -> None:
    """Run the command in the database, one process at a time. Raises CommandError."""
    postgres = Postgres(_read_settings())
    try:
        async with postgres.engine.connect() as turn, postgres.engine.connect() as connection:
            await _wait_for_turn(turn)
            await connection.run_sync(_run_migrations)
    except errors.LockTimeoutError as error:
        message = (
            f"A migration waited {LOCK_TIMEOUT} for a table in use and was rolled back; try again."
        )
        raise CommandError(message) from error
    except errors.PreparedStatementLostError as error:
        message = "The URL leads to a connection pooler: set DATABASE_PREPARED_STATEMENTS=false."
        raise CommandError(message) from error
    except errors.DatabaseUnavailableError as error:
        raise CommandError(redact(f"The database cannot be reached: {error}")) from error
    finally:
        await postgres.close()


def _read_settings() -> PostgresSettings:
    try:
        return read_section(PostgresSettings)
    except SettingsError as error:
        raise CommandError(str(error)) from error


async def _wait_for_turn(connection: AsyncConnection) -> None:
    """Wait until no other process migrates. The turn ends with the connection's transaction."""
    try:
        async with asyncio.timeout(TURN_TIMEOUT):
            await connection.execute(STAY_OPEN)
            while not await connection.scalar(TRY_LOCK):
                await connection.rollback()
                await asyncio.sleep(POLL_INTERVAL)
                await connection.execute(STAY_OPEN)
    except TimeoutError as error:
        message = f"Another process has been migrating for more than {TURN_TIMEOUT:g} s."
        raise CommandError(message) from error


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
    asyncio.run(migrate())
