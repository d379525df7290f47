"""Brings the database of DATABASE_URL to the schema that this build knows: `alembic upgrade head`.

Every replica may run it at its start: one migrates, the others wait and find nothing to do.
"""

import asyncio
import logging

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from reference_service.dependencies.postgres import (
    Postgres,
    PostgresSettings,
)
from reference_service.environment import SettingsError, read
from reference_service.items.postgres import METADATA

PATIENCE = 60.0
"""Seconds to wait while another process migrates."""

LOCK_TIMEOUT = "3s"
"""How long a migration waits for a table. While it waits, everybody else queues behind it."""

# For the session, not for a transaction: a migration may need several, as for CREATE INDEX
# CONCURRENTLY. Asked for again and again, since a statement that waits would block that very one.
TAKE_TURN = text("SELECT pg_try_advisory_lock(27422255623596387)")  # "alembic" as a number

LOCK_NOT_AVAILABLE = "55P03"


async def migrate() -> None:
    """Run what was asked for in the database, alone. Raises CommandError with one sentence."""
    postgres = Postgres(_settings())
    try:
        async with postgres.engine.connect() as connection:
            await _take_turn(connection)
            await connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
            await connection.commit()  # Alembic begins transactions of its own
            await connection.run_sync(_run)
    except ConnectionError as error:
        raise CommandError(f"The database cannot be reached: {error}") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        message = f"A migration waited {LOCK_TIMEOUT} for a table in use and was undone; try again."
        raise CommandError(message) from error
    finally:
        await postgres.close()


def _settings() -> PostgresSettings:
    try:
        return read([PostgresSettings])[PostgresSettings]
    except SettingsError as error:
        raise CommandError(str(error)) from error


async def _take_turn(connection: AsyncConnection) -> None:
    """Return when no other process migrates. The turn ends with the connection, however it ends."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await connection.scalar(TAKE_TURN):
                await connection.rollback()
                await asyncio.sleep(0.2)
    except TimeoutError as error:
        raise CommandError(f"Another process is migrating for more than {PATIENCE:g} s.") from error


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=METADATA,  # what --autogenerate and check compare the database with
        compare_server_default=True,
        transaction_per_migration=True,  # locks are held for one migration, not for all
    )
    with context.begin_transaction():
        context.run_migrations()


def print_sql() -> None:
    """Print the SQL instead, for people who may not migrate themselves: `--sql`."""
    context.configure(dialect_name="postgresql", target_metadata=METADATA, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


logging.basicConfig(format="%(message)s")
logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)  # names each migration
logging.getLogger("alembic.util.messaging").disabled = True  # what it logs, it prints as well

if context.is_offline_mode():
    print_sql()
else:
    asyncio.run(migrate())
