"""Migrates the database of DATABASE_URL to the schema of this build: `alembic upgrade head`.

Every replica may run this when it starts. One migrates; the others wait and find nothing to do.
"""

import asyncio
import logging

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

import reference_service.app  # noqa: F401 - imports the tables of every domain into METADATA
from reference_service.dependencies.postgres import (
    METADATA,
    Postgres,
    PostgresSettings,
)
from reference_service.environment import SettingsError, read_section

TURN_TIMEOUT = 60.0
"""Maximum seconds to wait while another process migrates."""

POLL_INTERVAL = 0.2
"""Seconds between attempts to take the lock."""

LOCK_TIMEOUT = "3s"
"""How long a migration waits for a table. Meanwhile, every other statement waits behind it."""

# The lock belongs to the session, because some migrations need several transactions, for example
# CREATE INDEX CONCURRENTLY. The statement does not wait for the lock, because a waiting statement
# would block such a migration.
TRY_LOCK = text("SELECT pg_try_advisory_lock(27422255623596387)")  # "alembic" as a number

LOCK_NOT_AVAILABLE = "55P03"


async def migrate() -> None:
    """Run the command in the database, one process at a time. Raises CommandError."""
    postgres = Postgres(_read_settings())
    try:
        async with postgres.engine.connect() as connection:
            await _wait_for_turn(connection)
            await connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
            await connection.commit()  # Alembic begins its own transactions
            await connection.run_sync(_run_migrations)
    except ConnectionError as error:
        raise CommandError(f"The database cannot be reached: {error}") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        message = (
            f"A migration waited {LOCK_TIMEOUT} for a table in use and was rolled back; try again."
        )
        raise CommandError(message) from error
    finally:
        await postgres.close()


def _read_settings() -> PostgresSettings:
    try:
        return read_section(PostgresSettings)
    except SettingsError as error:
        raise CommandError(str(error)) from error


async def _wait_for_turn(connection: AsyncConnection) -> None:
    """Wait until no other process migrates. The turn ends when the connection is closed."""
    try:
        async with asyncio.timeout(TURN_TIMEOUT):
            while not await connection.scalar(TRY_LOCK):
                await connection.rollback()
                await asyncio.sleep(POLL_INTERVAL)
    except TimeoutError as error:
        message = f"Another process has been migrating for more than {TURN_TIMEOUT:g} s."
        raise CommandError(message) from error


def _run_migrations(connection: Connection) -> None:
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
