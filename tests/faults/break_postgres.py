"""PostgreSQL broken: the server, its network, its pool, its schema, and a standby of it."""

import asyncio
import contextlib

from .environment import POOL, RECEIVER_TIMEOUT, Rig
from .harness import AT_ONCE, DETECTION, RECOVERY, TRAFFIC, Act, Fault

MAX_LAG = 5.0
"""Seconds that a standby may be behind, by default."""
TOO_LONG = 5.0
"""Seconds for which a pool has to have been full before it counts as leaking."""
KICK = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service'"
RELOAD = "SELECT pg_reload_conf()"


def sql(*statements: str) -> Act:
    """Return what runs statements as the superuser, each on its own."""
    return lambda rig: [rig.postgres.sql(statement) for statement in statements]


def rotate_back(rig: Rig) -> None:
    """Give the role the password again that the service knows."""
    password = rig.postgres.url.split(":")[2].split("@")[0]
    rig.postgres.sql(f"ALTER ROLE service PASSWORD '{password}'")


def demote(rig: Rig) -> None:
    """Have the server come back as a standby, as after a failover."""
    rig.postgres.stop()
    (rig.postgres.folder / "data" / "standby.signal").touch()
    rig.postgres.start()


async def stop_under_traffic(rig: Rig) -> None:
    """Stop it, and let one request fail of it."""
    await asyncio.to_thread(rig.postgres.stop)
    await rig.service.get("/items")


async def restart_under_traffic(rig: Rig) -> None:
    """Restart it while requests go on."""
    restarting = asyncio.create_task(asyncio.to_thread(rig.postgres.restart))
    while not restarting.done():
        await asyncio.gather(*(rig.service.get("/items") for _ in range(POOL)))
        await asyncio.sleep(0.05)


def fill_the_pool(seconds: float) -> Act:
    """Return what has requests wait for a lock, with every connection of the pool in their hands.

    The lock ends by itself, or by `release`.
    """
    lock = f"BEGIN; LOCK TABLE items; SELECT pg_sleep({seconds}); COMMIT"
    locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"

    def hold(rig: Rig) -> None:
        with contextlib.suppress(RuntimeError):  # ended by `release`
            rig.postgres.sql(lock)

    async def fill(rig: Rig) -> None:
        rig.goes_on(asyncio.to_thread(hold, rig))
        while await asyncio.to_thread(rig.postgres.sql, locked) == "0":
            await asyncio.sleep(0.02)
        for _ in range(2 * POOL):
            rig.goes_on(rig.service.get("/items"))

    return fill


async def release(rig: Rig) -> None:
    """End the lock, and wait for those who waited for it."""
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%'"
    await asyncio.to_thread(rig.postgres.sql, f"{end} AND pid <> pg_backend_pid()")


async def swallow(rig: Rig) -> None:
    """Let a query begin, and its answer vanish with everything after it."""
    rig.proxies["postgres"].latency = 0.2
    rig.goes_on(rig.service.get("/items"))
    await asyncio.sleep(0.1)
    rig.proxies["postgres"].swallow()


def slow_down(seconds: float) -> Act:
    """Return what lets each answer of the database be late."""

    async def slow(rig: Rig) -> None:
        rig.proxies["postgres"].latency = seconds

    return slow


async def reset(rig: Rig) -> None:
    """Reset every connection to the database, and each new one."""
    rig.proxies["postgres"].refuse()


async def mend(rig: Rig) -> None:
    """Let the network be well again."""
    rig.proxies["postgres"].heal()


def write(rig: Rig) -> None:
    """Change something on the primary, for a standby to miss."""
    rig.postgres.sql("INSERT INTO items (name) VALUES ('written')")


def pause_replay(rig: Rig) -> None:
    """Let the standby receive and not replay."""
    rig.standby.sql("SELECT pg_wal_replay_pause()")
    write(rig)


PLAIN = [
    Fault(
        "PostgreSQL is frozen",
        lambda rig: rig.postgres.pause(),
        lambda rig: rig.postgres.resume(),
        ready=504,
        blames="postgres: TimeoutError",
    ),
    Fault(
        "PostgreSQL is stopped",
        lambda rig: rig.postgres.stop(),
        lambda rig: rig.postgres.start(),
        blames="postgres: Connection",
    ),
    Fault(
        "PostgreSQL is killed",
        lambda rig: rig.postgres.kill(),
        lambda rig: rig.postgres.start(),
        blames="postgres: Connection",
    ),
    Fault(
        "PostgreSQL is stopped, and a request fails, while checks are a minute apart",
        stop_under_traffic,
        lambda rig: rig.postgres.start(),
        blames="postgres: Connection",
        within=TRAFFIC,
        settings={"HEALTH_CHECK_INTERVAL": "60"},
    ),
    Fault(
        "PostgreSQL restarts under traffic",
        restart_under_traffic,
        ready=200,
        hold=RECOVERY,
        also=frozenset({503}),
    ),
    Fault(
        "PostgreSQL has no connections left for the service",
        sql("ALTER ROLE service CONNECTION LIMIT 0", KICK),
        sql("ALTER ROLE service CONNECTION LIMIT -1"),
        blames="postgres: TooManyConnectionsError",
    ),
    Fault(
        "PostgreSQL's password is changed, and rotated back",
        sql("ALTER ROLE service PASSWORD 'other'", KICK),
        rotate_back,
        blames="postgres: InvalidPasswordError",
        within=AT_ONCE,
        back=AT_ONCE,
    ),
    Fault(
        "PostgreSQL is demoted to a standby",
        demote,
        sql("SELECT pg_promote()"),
        blames="postgres: InRecovery",
    ),
    Fault(
        "PostgreSQL takes no writes",
        sql("ALTER SYSTEM SET default_transaction_read_only = on", RELOAD),
        sql("ALTER SYSTEM RESET default_transaction_read_only", RELOAD),
        blames="postgres: ReadOnly",
    ),
    Fault(
        "PostgreSQL grants the service too little",
        sql("ALTER TABLE alembic_version OWNER TO postgres"),
        sql("ALTER TABLE alembic_version OWNER TO service"),
        blames="postgres.schema: InsufficientPrivilegeError",
        within=AT_ONCE,
        back=AT_ONCE,
    ),
    Fault(
        "The schema is behind the code",
        sql("ALTER TABLE alembic_version RENAME TO gone"),
        sql("ALTER TABLE gone RENAME TO alembic_version"),
        blames="postgres.schema: SchemaBehind",
    ),
    Fault(
        "The schema is ahead of the code (no fault: a rolling deploy)",
        sql(
            "CREATE TABLE before AS TABLE alembic_version",
            "UPDATE alembic_version SET version_num = 'from_the_future'",
        ),
        sql(
            "UPDATE alembic_version SET version_num = (SELECT version_num FROM before)",
            "DROP TABLE before",
        ),
        ready=200,
        hold=DETECTION,
    ),
    Fault(
        "The pool is full for three seconds (no fault: a burst)",
        fill_the_pool(3),
        ready=200,
        warns=True,
        hold=DETECTION,
    ),
    Fault(
        "The pool leaks",
        fill_the_pool(30),
        release,
        blames="postgres.pool: PoolExhausted",
        within=TOO_LONG + 1,
    ),
]

PROXIED = [
    Fault(
        "The network swallows a query to PostgreSQL, and all after it",
        swallow,
        mend,
        ready=504,
        blames="postgres: TimeoutError",
    ),
    Fault(
        "PostgreSQL answers after 400 ms (no fault: it answers)",
        slow_down(0.4),
        mend,
        ready=200,
        hold=2 * DETECTION,
    ),
    Fault(
        "PostgreSQL answers after 2 s",
        slow_down(2),
        mend,
        ready=504,
        blames="postgres: TimeoutError",
    ),
    Fault(
        "The network resets every connection to PostgreSQL",
        reset,
        mend,
        blames="postgres: Connection",
    ),
]

STANDBY = [
    Fault(
        "A standby receives and does not replay",
        pause_replay,
        lambda rig: rig.standby.sql("SELECT pg_wal_replay_resume()"),
        blames="postgres.replication: ReplicationLag",
        within=MAX_LAG + 2,
    ),
    Fault(
        "A standby with nothing to replay (no fault: it is idle)",
        lambda _: None,
        ready=200,
        hold=2 * DETECTION,
    ),
    Fault(
        "The standby's WAL sender is frozen",
        lambda rig: rig.postgres.freeze("walsender"),
        lambda rig: rig.postgres.resume(),
        blames="postgres.replication: PrimaryUnresponsive",
        within=RECEIVER_TIMEOUT / 2 + 2 + 2,
        settings={"DATABASE_MAX_LAG": "2"},
    ),
    Fault(
        "A standby's primary is stopped",
        lambda rig: rig.postgres.stop(),
        lambda rig: rig.postgres.start(),
        blames="postgres.replication: NotStreaming",
        within=MAX_LAG + 2,
    ),
    Fault(
        "The service may not read the standby's figures",
        sql("REVOKE pg_read_all_stats FROM service"),
        sql("GRANT pg_read_all_stats TO service"),
        blames="postgres.replication: MissingGrant",
        within=AT_ONCE,
        back=AT_ONCE,
    ),
]
