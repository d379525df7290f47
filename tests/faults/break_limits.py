"""Break PostgreSQL with other sessions and with limits: deadlocks, locks, files, slow commits.

In each of these the server answers every query that only reads.
"""

import asyncio

from .break_tables import DROP_TRIGGER, TRIGGER, table_fault
from .environment import Environment, wait_until
from .harness import DETECTION, Action, Fault
from .postgres_actions import (
    DISCONNECT_SERVICE,
    RELOAD,
    run_until_released,
    sql,
)
from .probe_client import OK
from .truth import State

STATISTICS_DELAY = 5.0
"""Seconds within which the server counts a deadlock in its statistics."""
# An update of an item locks the item first, and then a row that another session has locked.
LOCK_TWO_ROWS = """
    CREATE TABLE other AS SELECT 1 AS id;
    CREATE FUNCTION lock_other() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    AS $$ BEGIN PERFORM FROM other FOR UPDATE; RETURN NEW; END $$;
    CREATE TRIGGER lock_other BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION lock_other()
    """
# The other session locks them in the other order, whenever a request waits for it. It never
# looks for deadlocks, so PostgreSQL cancels the request.
CAUSE_DEADLOCKS = """
    DO $$ BEGIN
        PERFORM set_config('deadlock_timeout', '1h', false);
        FOR round IN 1..4 LOOP
            PERFORM FROM other FOR UPDATE;
            FOR attempt IN 1..200 LOOP
                EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted);
                PERFORM pg_sleep(0.01);
            END LOOP;
            UPDATE items SET description = 'deadlock' WHERE id = '{item}';
            COMMIT;
            PERFORM pg_sleep(0.3);
        END LOOP;
    END $$
    """
USE_ALL_LOCKS = """
    DO $$ BEGIN
        FOR key IN 1..1000000 LOOP PERFORM pg_advisory_lock(key); END LOOP;
    EXCEPTION WHEN out_of_memory THEN PERFORM pg_sleep(5);
    END $$
    """


async def cause_deadlocks(env: Environment) -> None:
    """Let a client's update and another session wait for each other, several times."""
    sql(LOCK_TWO_ROWS, "ALTER SYSTEM SET deadlock_timeout = '100ms'", RELOAD)(env)
    env.postgres.sql("SELECT pg_stat_reset()")
    statements = CAUSE_DEADLOCKS.format(item=env.items[1])
    env.run_in_background(asyncio.to_thread(run_until_released, env, statements))


async def deadlocks_happened(env: Environment) -> list[str]:
    """Check that there were deadlocks, so that the fault proves something."""
    count = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'service'"

    async def happened() -> bool:
        return await asyncio.to_thread(env.postgres.sql, count) != "0"

    try:
        await wait_until(happened, STATISTICS_DELAY)
    except TimeoutError:
        return ["there was no deadlock"]
    return []


async def use_all_locks(env: Environment) -> None:
    """Take every lock that the server has memory for, for five seconds.

    Meanwhile nobody can connect, so nobody can end the session.
    """
    env.run_in_background(asyncio.to_thread(run_until_released, env, USE_ALL_LOCKS))


def delay_commits(seconds: float) -> Action:
    """Return an action that lets each commit wait for a standby, which is slow to apply it."""

    def delay(env: Environment) -> None:
        env.standby.start()
        env.standby.until_streaming()
        apply_delay = f"ALTER SYSTEM SET recovery_min_apply_delay = '{seconds * 1000:.0f}ms'"
        for statement in (apply_delay, RELOAD):
            env.standby.sql(statement)
        sql(
            "ALTER SYSTEM SET synchronous_commit = 'remote_apply'",
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            RELOAD,
        )(env)

    return delay


def commit_at_once(env: Environment) -> None:
    """Let commits wait for no standby, and stop it."""
    sql(
        "ALTER SYSTEM RESET synchronous_standby_names",
        "ALTER SYSTEM RESET synchronous_commit",
        RELOAD,
    )(env)
    env.standby.stop()


LIMITS = [
    Fault(
        "A request and another session wait for each other: deadlocks (still ready)",
        cause_deadlocks,
        sql(
            "DROP FUNCTION lock_other CASCADE",
            "DROP TABLE other",
            "ALTER SYSTEM RESET deadlock_timeout",
            RELOAD,
        ),
        ready_code=OK,
        max_failures=0,
        hold=4,
        verify=deadlocks_happened,
    ),
    table_fault(
        "A trigger exceeds the role's limit of temporary files",
        sql(
            TRIGGER.format(
                body="PERFORM FROM generate_series(1, 50000) AS n ORDER BY -n; RETURN NEW;"
            ),
            "ALTER ROLE service SET work_mem = '64kB'",
            "ALTER ROLE service SET temp_file_limit = 0",
            DISCONNECT_SERVICE,
        ),
        sql(
            DROP_TRIGGER,
            "ALTER ROLE service RESET work_mem",
            "ALTER ROLE service RESET temp_file_limit",
            DISCONNECT_SERVICE,
        ),
        State.READS_ONLY,
    ),
    table_fault(
        "Another session holds all locks that PostgreSQL has memory for",
        use_all_locks,
        Environment.wait_for_background_work,
    ),
    table_fault(
        "Function of an extension that a trigger calls is missing",
        TRIGGER.format(body="PERFORM similarity(NEW.name, 'name'); RETURN NEW;"),
        DROP_TRIGGER,
        State.READS_ONLY,
    ),
    table_fault(
        "Column of the items has become an enum that this build does not know",
        sql(
            "CREATE TYPE label AS ENUM ('other')",
            "ALTER TABLE items ALTER COLUMN description TYPE label USING NULL",
        ),
        sql("ALTER TABLE items ALTER COLUMN description TYPE text", "DROP TYPE label"),
        State.READS_ONLY,
    ),
    table_fault(
        "Type of a column is dropped, and the column with it",
        sql(
            "CREATE DOMAIN words AS text",
            "ALTER TABLE items ALTER COLUMN description TYPE words",
            "DROP DOMAIN words CASCADE",
        ),
        "ALTER TABLE items ADD COLUMN description text",
        State.DOWN,
    ),
    Fault(
        "Each commit takes 300 ms (still ready)",
        delay_commits(0.3),
        commit_at_once,
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
    ),
    Fault(
        "Each commit takes 3 s",
        delay_commits(3),
        commit_at_once,
        ready_code=504,
        clients=State.READS_ONLY,
        failure="postgres.write: TimeoutError",
    ),
]
