"""Break PostgreSQL: the server, the pool, and the version of the schema."""

import asyncio

from dev.standby import freeze

from .environment import POOL, Environment
from .fail_fast import refused_at_once
from .harness import (
    DETECTION,
    PERMANENT_DETECTION,
    RECOVERY,
    TRAFFIC_DETECTION,
    Fault,
)
from .postgres_actions import (
    DISCONNECT_SERVICE,
    POOL_DETECTION,
    RELOAD,
    hold_lock,
    release_locks,
    restore_password,
    sql,
)
from .probe_client import OK, RED, WARN


def demote(env: Environment) -> None:
    """Restart the server as a standby, as after a failover."""
    env.postgres.stop()
    (env.postgres.folder / "data" / "standby.signal").touch()
    env.postgres.start()


async def stop_and_fail_a_request(env: Environment) -> None:
    """Stop the server, and send a request, which fails."""
    await asyncio.to_thread(env.postgres.stop)
    await env.service.get("/items")


async def restart_under_traffic(env: Environment) -> None:
    """Restart the server while requests continue."""
    restarting = asyncio.create_task(asyncio.to_thread(env.postgres.restart))
    while not restarting.done():
        await asyncio.gather(*(env.service.get("/items") for _ in range(POOL)))
        await asyncio.sleep(0.05)


UNPROVEN_SCHEMA = "nothing proves that the tables are those that the code needs"
GHOST = "ALTER SYSTEM SET synchronous_standby_names = 'ghost'"

SERVER = [
    Fault(
        "PostgreSQL is frozen",
        lambda env: env.postgres.pause(),
        lambda env: env.postgres.resume(),
        ready_code=504,
        failure="postgres: TimeoutError",
        verify=refused_at_once("/items"),
    ),
    Fault(
        "PostgreSQL is stopped",
        lambda env: env.postgres.stop(),
        lambda env: env.postgres.start(),
        failure="postgres: Connection",
    ),
    Fault(
        "PostgreSQL is killed",
        lambda env: env.postgres.kill(),
        lambda env: env.postgres.start(),
        failure="postgres: Connection",
    ),
    Fault(
        "PostgreSQL is frozen, and no client sends requests",
        lambda env: env.postgres.pause(),
        lambda env: env.postgres.resume(),
        ready_code=504,
        failure="postgres: TimeoutError",
        idle=True,
        verify=refused_at_once("/items"),
    ),
    Fault(
        "PostgreSQL is stopped and one request fails, with a check interval of 60 s",
        stop_and_fail_a_request,
        lambda env: env.postgres.start(),
        failure="postgres: Connection",
        idle=True,
        detect_within=TRAFFIC_DETECTION,
        settings={"HEALTH_CHECK_INTERVAL": "60"},
    ),
    Fault(
        "PostgreSQL waits for a synchronous standby that is gone: every commit hangs",
        sql(GHOST, RELOAD),
        sql("ALTER SYSTEM RESET synchronous_standby_names", RELOAD),
        ready_code=RED,
        failure="postgres.write: TimeoutError",
    ),
    Fault(
        "PostgreSQL restarts under traffic",
        restart_under_traffic,
        ready_code=OK,
        hold=RECOVERY,
        allowed_codes=frozenset({503}),
    ),
    Fault(
        "PostgreSQL accepts no more connections from the service",
        sql("ALTER ROLE service CONNECTION LIMIT 0", DISCONNECT_SERVICE),
        sql("ALTER ROLE service CONNECTION LIMIT -1"),
        failure="postgres: TooManyConnectionsError",
    ),
    Fault(
        "PostgreSQL password is changed, then restored",
        sql("ALTER ROLE service PASSWORD 'other'", DISCONNECT_SERVICE),
        restore_password,
        failure="postgres: InvalidPasswordError",
        detect_within=PERMANENT_DETECTION,
    ),
    Fault(
        "PostgreSQL is demoted to a standby",
        demote,
        sql("SELECT pg_promote()"),
        failure="postgres: InRecovery",
    ),
    Fault(
        "PostgreSQL is read-only",
        sql("ALTER SYSTEM SET default_transaction_read_only = on", RELOAD),
        sql("ALTER SYSTEM RESET default_transaction_read_only", RELOAD),
        failure="postgres: ReadOnly",
    ),
    Fault(
        "PostgreSQL role may not read the version of the schema (still ready)",
        sql("ALTER TABLE alembic_version OWNER TO postgres"),
        sql("ALTER TABLE alembic_version OWNER TO service"),
        ready_code=WARN,
        failure="postgres.schema: warn",
    ),
    Fault(
        "Schema is behind the code: its tables do not exist yet",
        sql("ALTER TABLE alembic_version RENAME TO gone", "ALTER TABLE items RENAME TO gone_items"),
        sql("ALTER TABLE gone_items RENAME TO items", "ALTER TABLE gone RENAME TO alembic_version"),
        failure="postgres.schema: SchemaBehind",
    ),
    Fault(
        "Schema has lost its version, but not its tables",
        sql("ALTER TABLE alembic_version RENAME TO gone"),
        sql("ALTER TABLE gone RENAME TO alembic_version"),
        failure="postgres.schema: SchemaBehind",
        red_is_right=UNPROVEN_SCHEMA,
    ),
    Fault(
        "Schema is ahead of the code, as in a rolling deployment (still ready)",
        sql(
            "CREATE TABLE previous AS TABLE alembic_version",
            "UPDATE alembic_version SET version_num = 'from_the_future'",
        ),
        sql(
            "UPDATE alembic_version SET version_num = (SELECT version_num FROM previous)",
            "DROP TABLE previous",
        ),
        ready_code=OK,
        hold=DETECTION,
    ),
    Fault(
        "Pool is full for a moment (still ready)",
        hold_lock("LOCK TABLE items"),
        release_locks,
        ready_code=WARN,
        failure="postgres.pool",
        hold=0,
    ),
    Fault(
        "Pool leaks connections",
        hold_lock("LOCK TABLE items"),
        release_locks,
        ready_code=RED,
        failure="postgres.pool: PoolExhausted",
        detect_within=POOL_DETECTION,
    ),
    Fault(
        "Checkpointer of PostgreSQL is frozen (still ready)",
        lambda env: freeze(env.postgres, "checkpointer"),
        lambda env: env.postgres.resume(),
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
    ),
]
