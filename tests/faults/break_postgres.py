"""Break PostgreSQL: the server, its network, the pool, the schema, and a standby."""

import asyncio
import contextlib

from .environment import POOL, RECEIVER_TIMEOUT, Environment, wait_until
from .harness import (
    DETECTION,
    PERMANENT_DETECTION,
    RECOVERY,
    TRAFFIC_DETECTION,
    Action,
    Fault,
    do_nothing,
)
from .probe_client import OK, WARN

MAX_LAG = 5.0
"""Default maximum lag of a standby, in seconds."""
POOL_TIMEOUT = 5.0
"""Seconds without a returned connection after which the check of the pool fails."""
LOCK_TIMEOUT = 30.0
"""Seconds until a lock must be granted: the longest request waits three seconds."""
DISCONNECT_SERVICE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service'"
)
RELOAD = "SELECT pg_reload_conf()"


def sql(*statements: str) -> Action:
    """Return an action that runs statements as the superuser, each in its own transaction."""
    return lambda env: [env.postgres.sql(statement) for statement in statements]


def restore_password(env: Environment) -> None:
    """Set the password of the role back to the one that the service has."""
    password = env.postgres.url.split(":")[2].split("@")[0]
    env.postgres.sql(f"ALTER ROLE service PASSWORD '{password}'")


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


def fill_pool(seconds: float) -> Action:
    """Return an action that makes requests wait for a lock and so use every pool connection.

    The lock ends after these seconds, or with `release_lock`.
    """
    lock = f"BEGIN; LOCK TABLE items; SELECT pg_sleep({seconds}); COMMIT"
    count_locks = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"

    def hold_lock(env: Environment) -> None:
        with contextlib.suppress(RuntimeError):  # `release_lock` ended the session
            env.postgres.sql(lock)

    async def fill(env: Environment) -> None:
        async def is_locked() -> bool:
            return await asyncio.to_thread(env.postgres.sql, count_locks) != "0"

        env.run_in_background(asyncio.to_thread(hold_lock, env))
        await wait_until(is_locked, LOCK_TIMEOUT)
        for _ in range(2 * POOL):
            env.run_in_background(env.service.get("/items"))

    return fill


async def release_lock(env: Environment) -> None:
    """End the session that holds the lock."""
    terminate = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%'"
    )
    await asyncio.to_thread(env.postgres.sql, f"{terminate} AND pid <> pg_backend_pid()")


async def drop_a_response(env: Environment) -> None:
    """Let a query reach the server, then drop its response and all further traffic."""
    env.proxies["postgres"].latency = 0.2
    env.run_in_background(env.service.get("/items"))
    await asyncio.sleep(0.1)
    env.proxies["postgres"].drop_traffic()


def delay_responses(seconds: float) -> Action:
    """Return an action that delays each response of the database."""

    async def delay(env: Environment) -> None:
        env.proxies["postgres"].latency = seconds

    return delay


async def reset_connections(env: Environment) -> None:
    """Reset every connection to the database, including new ones."""
    env.proxies["postgres"].reset_connections()


async def repair_network(env: Environment) -> None:
    """Pass all traffic again, without delay."""
    env.proxies["postgres"].repair()


def insert_row(env: Environment) -> None:
    """Write on the primary, so that a standby has something to replay."""
    env.postgres.sql("INSERT INTO items (name) VALUES ('written')")


def pause_replay(env: Environment) -> None:
    """Pause replay on the standby, which still receives."""
    env.standby.sql("SELECT pg_wal_replay_pause()")
    insert_row(env)


UNPROVEN_SCHEMA = "nothing proves that the tables are those that the code needs"
STALENESS = "a response does not show how old its data is"
GHOST = "ALTER SYSTEM SET synchronous_standby_names = 'ghost'"

DIRECT = [
    Fault(
        "PostgreSQL is frozen",
        lambda env: env.postgres.pause(),
        lambda env: env.postgres.resume(),
        ready_code=504,
        failure="postgres: TimeoutError",
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
        ready_code=504,
        allowed_codes=frozenset({503}),
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
        recover_within=PERMANENT_DETECTION,
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
        "PostgreSQL role may not read the version of the schema",
        sql("ALTER TABLE alembic_version OWNER TO postgres"),
        sql("ALTER TABLE alembic_version OWNER TO service"),
        failure="postgres.schema: InsufficientPrivilegeError",
        red_is_right=UNPROVEN_SCHEMA,
        detect_within=PERMANENT_DETECTION,
        recover_within=PERMANENT_DETECTION,
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
        "Pool is full for 3 s (still ready)",
        fill_pool(3),
        ready_code=WARN,
        hold=DETECTION,
    ),
    Fault(
        "Pool leaks connections",
        fill_pool(30),
        release_lock,
        failure="postgres.pool: PoolExhausted",
        detect_within=POOL_TIMEOUT + 1,
    ),
]

PROXIED = [
    Fault(
        "Network drops all traffic to PostgreSQL during a query",
        drop_a_response,
        repair_network,
        ready_code=504,
        failure="postgres: TimeoutError",
    ),
    Fault(
        "PostgreSQL responds after 400 ms (still ready)",
        delay_responses(0.4),
        repair_network,
        ready_code=OK,
        hold=2 * DETECTION,
    ),
    Fault(
        "PostgreSQL responds after 2 s",
        delay_responses(2),
        repair_network,
        ready_code=504,
        failure="postgres: TimeoutError",
    ),
    Fault(
        "Network resets every connection to PostgreSQL",
        reset_connections,
        repair_network,
        failure="postgres: Connection",
    ),
]

STANDBY = [
    Fault(
        "Standby receives WAL but does not replay it",
        pause_replay,
        lambda env: env.standby.sql("SELECT pg_wal_replay_resume()"),
        failure="postgres.replication: ReplicationLag",
        red_is_right=STALENESS,
        detect_within=MAX_LAG + 2,
    ),
    Fault(
        "Standby is idle because nothing was written (still ready)",
        do_nothing,
        ready_code=OK,
        hold=2 * DETECTION,
    ),
    Fault(
        "WAL sender of the primary is frozen",
        lambda env: env.postgres.freeze("walsender"),
        lambda env: env.postgres.resume(),
        failure="postgres.replication: PrimaryUnresponsive",
        red_is_right=STALENESS,
        detect_within=RECEIVER_TIMEOUT / 2 + 2 + 2,
        settings={"DATABASE_MAX_LAG": "2"},
    ),
    Fault(
        "Primary of the standby is stopped",
        lambda env: env.postgres.stop(),
        lambda env: env.postgres.start(),
        failure="postgres.replication: NotStreaming",
        red_is_right=STALENESS,
        detect_within=MAX_LAG + 2,
    ),
    Fault(
        "Service lacks the grant to read replication statistics",
        sql("REVOKE pg_read_all_stats FROM service"),
        sql("GRANT pg_read_all_stats TO service"),
        failure="postgres.replication: MissingGrant",
        red_is_right=STALENESS,
        detect_within=PERMANENT_DETECTION,
        recover_within=PERMANENT_DETECTION,
    ),
]
