"""PostgreSQL broken: nobody there, nobody answers, no writes, no connection left."""

from dev.drill.environment import Stage
from dev.drill.step import Step
from dev.postgres import Postgres

TABLE, ROUTE = "items", "/items"
"""A table of the service, and what a request has to ask for to read it."""

LOCK = f"BEGIN; LOCK TABLE {TABLE}; SELECT pg_sleep(60)"
LOCKED = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
UNLOCK = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()
    """


def refuse_writes(stage: Stage) -> None:
    """Have every transaction be read-only from now on."""
    stage[Postgres].sql("ALTER SYSTEM SET default_transaction_read_only = on")
    stage[Postgres].sql("SELECT pg_reload_conf()")


def take_writes(stage: Stage) -> None:
    """Let them write again."""
    stage[Postgres].sql("ALTER SYSTEM RESET default_transaction_read_only")
    stage[Postgres].sql("SELECT pg_reload_conf()")


def use_up_the_pool(stage: Stage) -> None:
    """Lock a table, and have as many requests wait for it as the pool has connections.

    They and the lock end by `UNLOCK`.
    """
    stage.threads.submit(stage[Postgres].sql, LOCK)
    stage.until(lambda: stage[Postgres].sql(LOCKED) == "1")
    [pool] = stage.health()["checks"]["postgres.pool"]
    for _ in range(pool["observedValue"]["max"]):
        stage.threads.submit(stage.request, ROUTE)


POSTGRES = [
    Step(
        "PostgreSQL is stopped",
        """
        Nobody listens, so each attempt is refused at once. After three in a row `ready`
        turns 503, and Kubernetes sends this pod no more requests. `live` stays 200: a
        restart of the service would not bring the database back.
        """,
        breaks=lambda stage: stage[Postgres].stop(),
        mends=lambda stage: stage[Postgres].start(),
        ready="503",
        names="postgres: Connection",
        server=Postgres,
    ),
    Step(
        "PostgreSQL is frozen",
        """
        Connections open and nothing answers. A check without a time limit would hang now,
        and its probe with it. Ours are given up after half a second each, and `ready` turns
        504: nobody has said no, nobody has answered. So look for what is slow, overloaded
        or cut off.
        """,
        breaks=lambda stage: stage[Postgres].pause(),
        mends=lambda stage: stage[Postgres].resume(),
        ready="504",
        names="postgres: TimeoutError",
        server=Postgres,
    ),
    Step(
        "PostgreSQL takes no writes",
        """
        Every query is answered, a ping would pass, and yet the service cannot do its work:
        the server is read-only, as one is after a failover that left it behind. The check
        asks for that, and `ready` turns 503.
        """,
        breaks=refuse_writes,
        mends=take_writes,
        ready="503",
        names="postgres: ReadOnly",
        server=Postgres,
    ),
    Step(
        "Requests hold every connection",
        """
        Requests wait for a lock with all of the pool's connections in their hands. At first
        `ready` only warns, since a burst looks the same. When none has come back for 5 s it
        turns 503: requests belong elsewhere. The database is well, and its own check says
        so.
        """,
        breaks=use_up_the_pool,
        mends=lambda stage: stage[Postgres].sql(UNLOCK),
        ready="503",
        names="postgres.pool: PoolExhausted",
        server=Postgres,
    ),
]
