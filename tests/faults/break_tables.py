"""Break what the core work needs of PostgreSQL: privileges, disk, locks, columns, speed.

In each of these the server answers every other query, so a ping sees nothing.
"""

import asyncio
from collections.abc import Mapping

from .environment import Environment, wait_until
from .harness import DETECTION, STABLE, Action, Fault
from .postgres_actions import (
    DISCONNECT_SERVICE,
    FAST_ROWS,
    LOCK_TIMEOUT,
    hold_lock,
    release_locks,
    run_until_released,
    slow_rows,
    sql,
)
from .probe_client import OK, RED
from .slow_disk import SlowDisk, cannot_slow_down
from .small_disk import SmallDiskPostgres, SmallWalDiskPostgres, cannot_mount
from .truth import State

BIG_POOL = {"DATABASE_POOL_SIZE": "15"}
"""Settings with which requests that hang leave connections to the others."""
TRIGGER = """
    CREATE FUNCTION on_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
    CREATE TRIGGER on_insert BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION on_insert()
    """
VERY_SLOW_DISK, SLOW_DISK = SlowDisk(3.0), SlowDisk(0.1)
DROP_TRIGGER = "DROP FUNCTION on_insert CASCADE"


def fill_disk(env: Environment) -> None:
    """Move the table of items to a full disk."""
    assert isinstance(env.postgres, SmallDiskPostgres)
    env.postgres.fill_disk("items")


def free_disk(env: Environment) -> None:
    """Move the table back."""
    assert isinstance(env.postgres, SmallDiskPostgres)
    env.postgres.free_disk("items")


def fill_wal_disk(env: Environment) -> None:
    """Fill the disk of the write-ahead log: the server ends."""
    assert isinstance(env.postgres, SmallWalDiskPostgres)
    env.postgres.fill_disk()


def free_wal_disk(env: Environment) -> None:
    """Free the disk, and start the server."""
    assert isinstance(env.postgres, SmallWalDiskPostgres)
    env.postgres.free_disk()


async def queue_behind_a_migration(env: Environment) -> None:
    """Let a migration wait for a long query: all later queries wait behind the migration."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
    await hold_lock("SELECT count(*) FROM items")(env)

    async def is_waiting() -> bool:
        return await asyncio.to_thread(env.postgres.sql, waiting) != "0"

    migration = "ALTER TABLE items ADD COLUMN waits integer"
    env.run_in_background(asyncio.to_thread(run_until_released, env, migration))
    await wait_until(is_waiting, LOCK_TIMEOUT)


def lock_one_item(env: Environment) -> object:
    """Lock the one item that a client changes."""
    return hold_lock(f"SELECT id FROM items WHERE id = '{env.items[1]}' FOR UPDATE")(env)


def table_fault(
    name: str,
    inject: str | Action,
    repair: str | Action,
    clients: State | None = None,
    *,
    settings: Mapping[str, str] | None = None,
    hold: float = STABLE,
) -> Fault:
    """Return a fault of the table that is detected by doing the core work."""
    return Fault(
        name,
        sql(inject) if isinstance(inject, str) else inject,
        sql(repair) if isinstance(repair, str) else repair,
        ready_code=RED,
        clients=clients,
        failure="items: ",
        settings=settings or {},
        hold=hold,
    )


DISK = [
    Fault(
        "Disk of the tables is full",
        fill_disk,
        free_disk,
        clients=State.READS_ONLY,
        failure="items: ",
        needs=cannot_mount,
    ),
    Fault(
        "Disk of the tables and of the write-ahead log takes 3 s for each flush",
        VERY_SLOW_DISK.slow_down,
        VERY_SLOW_DISK.restore,
        ready_code=RED,
        clients=State.READS_ONLY,
        failure="postgres.write: TimeoutError",
        needs=cannot_slow_down,
    ),
    Fault(
        "Disk of the tables and of the write-ahead log takes 0.1 s for each flush (still ready)",
        SLOW_DISK.slow_down,
        SLOW_DISK.restore,
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
        needs=cannot_slow_down,
    ),
]

WAL_DISK = [
    Fault(
        "Disk of the write-ahead log is full",
        fill_wal_disk,
        free_wal_disk,
        clients=State.DOWN,
        failure="postgres: ",
        needs=cannot_mount,
    ),
]

TABLES = [
    *(
        table_fault(
            f"PostgreSQL role may not {privilege} items",
            f"REVOKE {privilege} ON items FROM service",
            f"GRANT {privilege} ON items TO service",
            State.DOWN if privilege == "SELECT" else State.READS_ONLY,
        )
        for privilege in ("INSERT", "SELECT", "UPDATE")
    ),
    table_fault(
        "Table of the items is renamed",
        "ALTER TABLE items RENAME TO gone",
        "ALTER TABLE gone RENAME TO items",
        State.DOWN,
    ),
    table_fault(
        "Column of the items is renamed",
        "ALTER TABLE items RENAME COLUMN description TO gone",
        "ALTER TABLE items RENAME COLUMN gone TO description",
        State.DOWN,
    ),
    table_fault(
        "Column of the items has lost its default",
        "ALTER TABLE items ALTER COLUMN id DROP DEFAULT",
        "ALTER TABLE items ALTER COLUMN id SET DEFAULT gen_random_uuid()",
        State.READS_ONLY,
    ),
    table_fault(
        "A newer constraint rejects what this build writes",
        "ALTER TABLE items ADD CONSTRAINT newer CHECK (name LIKE 'newer: %') NOT VALID",
        "ALTER TABLE items DROP CONSTRAINT newer",
        State.READS_ONLY,
    ),
    table_fault(
        "A trigger rejects every insert",
        TRIGGER.format(body="RAISE EXCEPTION 'maintenance';"),
        DROP_TRIGGER,
        State.READS_ONLY,
    ),
    table_fault(
        "A trigger makes each insert take 3 s",
        TRIGGER.format(body="PERFORM pg_sleep(3); RETURN NEW;"),
        DROP_TRIGGER,
    ),
    table_fault(
        "Queries of items take 3 s",
        sql(*slow_rows(3)),
        sql(*FAST_ROWS),
        settings=BIG_POOL,
    ),
    table_fault(
        "Queries of items exceed the role's statement timeout",
        sql(
            *slow_rows(3), "ALTER ROLE service SET statement_timeout = '300ms'", DISCONNECT_SERVICE
        ),
        sql(*FAST_ROWS, "ALTER ROLE service RESET statement_timeout", DISCONNECT_SERVICE),
    ),
    table_fault(
        "Table of the items is locked in ACCESS EXCLUSIVE mode",
        hold_lock("LOCK TABLE items"),
        release_locks,
    ),
    table_fault(
        "Table of the items is locked, and each request is canceled after 2 s",
        hold_lock("LOCK TABLE items"),
        release_locks,
        settings={"SERVICE_REQUEST_TIMEOUT": "2"},
        hold=5,  # so that canceled requests return their connections
    ),
    table_fault(
        "Table of the items is locked against writes, as by CREATE INDEX",
        hold_lock("LOCK TABLE items IN SHARE MODE"),
        release_locks,
    ),
    table_fault(
        "Queries wait behind a migration, which waits for a long query",
        queue_behind_a_migration,
        release_locks,
    ),
    Fault(
        "Another transaction locks one item (still ready)",
        lock_one_item,
        release_locks,
        ready_code=OK,
        clients=State.READS_ONLY,
        hold=DETECTION,
        green_is_right="all other items can be read and written",
        settings=BIG_POOL,
    ),
    Fault(
        "A migration changes the type of a column (still ready)",
        sql("ALTER TABLE items ALTER COLUMN name TYPE varchar(500)"),
        sql("ALTER TABLE items ALTER COLUMN name TYPE text"),
        ready_code=OK,
        max_failures=0,
        hold=3,
    ),
    Fault(
        "A migration adds a column (still ready)",
        sql("ALTER TABLE items ADD COLUMN added integer DEFAULT 1"),
        sql("ALTER TABLE items DROP COLUMN added"),
        ready_code=OK,
        max_failures=0,
        hold=3,
    ),
]
