"""Failures of PostgreSQL: stopped, frozen, read-only, and without a free connection."""

from dev.drill.environment import Environment
from dev.drill.step import Step
from dev.postgres import Postgres

TABLE, ROUTE = "items", "/items"
"""A table of the service, and a route that reads it."""

LOCK = f"BEGIN; LOCK TABLE {TABLE}; SELECT pg_sleep(60)"
LOCKED = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
UNLOCK = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()
    """


def make_read_only(environment: Environment) -> None:
    """Make every new transaction read-only."""
    environment[Postgres].sql("ALTER SYSTEM SET default_transaction_read_only = on")
    environment[Postgres].sql("SELECT pg_reload_conf()")


def make_writable(environment: Environment) -> None:
    """Undo `make_read_only`."""
    environment[Postgres].sql("ALTER SYSTEM RESET default_transaction_read_only")
    environment[Postgres].sql("SELECT pg_reload_conf()")


def lose_standby(environment: Environment) -> None:
    """Let every commit wait for a standby that does not exist."""
    environment[Postgres].sql("ALTER SYSTEM SET synchronous_standby_names = 'lost'")
    environment[Postgres].sql("SELECT pg_reload_conf()")


def forget_standby(environment: Environment) -> None:
    """Undo `lose_standby`."""
    environment[Postgres].sql("ALTER SYSTEM RESET synchronous_standby_names")
    environment[Postgres].sql("SELECT pg_reload_conf()")


def revoke_privileges(environment: Environment) -> None:
    """Take the privileges on the table from the service, and send a request, which fails."""
    environment[Postgres].sql(f"ALTER TABLE {TABLE} OWNER TO CURRENT_USER")
    environment.request(ROUTE)


def restore_privileges(environment: Environment) -> None:
    """Undo `revoke_privileges`."""
    environment[Postgres].sql(f"ALTER TABLE {TABLE} OWNER TO service")


def exhaust_pool(environment: Environment) -> None:
    """Lock a table, and send one request for it per connection of the pool.

    `UNLOCK` ends the lock, and so the requests.
    """
    environment.threads.submit(environment[Postgres].sql, LOCK)
    environment.until(lambda: environment[Postgres].sql(LOCKED) == "1")
    [pool] = environment.health()["checks"]["postgres.pool"]
    for _ in range(pool["observedValue"]["max"]):
        environment.threads.submit(environment.request, ROUTE)


POSTGRES = [
    Step(
        "PostgreSQL is stopped",
        """
        No server listens, so each attempt is refused at once. After three failures in a row
        `ready` turns 503, and Kubernetes sends this pod no more requests. `live` stays 200,
        because a restart of the service would not fix the database.
        """,
        inject=lambda environment: environment[Postgres].stop(),
        repair=lambda environment: environment[Postgres].start(),
        ready="503",
        reason="postgres: Connection",
        server=Postgres,
    ),
    Step(
        "PostgreSQL is frozen",
        """
        Connections open, but nothing responds. A check without a time limit would hang now,
        and so would its probe. These attempts are abandoned after half a second each, and
        `ready` turns 504: every failure is a timeout and not a refusal. Look for something
        slow, overloaded or cut off.
        """,
        inject=lambda environment: environment[Postgres].pause(),
        repair=lambda environment: environment[Postgres].resume(),
        ready="504",
        reason="postgres: TimeoutError",
        server=Postgres,
    ),
    Step(
        "PostgreSQL is read-only",
        """
        Every query gets a response and a ping would pass, but the service cannot do its work.
        The server is read-only, like a former primary after a failover. The check tests for
        that, and `ready` turns 503.
        """,
        inject=make_read_only,
        repair=make_writable,
        ready="503",
        reason="postgres: ReadOnly",
        server=Postgres,
    ),
    Step(
        "Commits hang because a standby is lost",
        """
        Every commit waits for a synchronous standby that is gone. Queries get responses, and
        so does a ping, but no write ends. A check that only reads would pass. This one commits
        a message of some bytes, and `ready` turns 504.
        """,
        inject=lose_standby,
        repair=forget_standby,
        ready="504",
        reason="postgres.write: TimeoutError",
        server=Postgres,
    ),
    Step(
        "The service lacks privileges on its table",
        """
        The server, its commits and its schema are as they should be, but every request fails.
        The first failure triggers the check of the domain. It runs the store's own statements
        in a transaction that is rolled back, and names the step that fails. `ready` turns 503.
        """,
        inject=revoke_privileges,
        repair=restore_privileges,
        ready="503",
        reason="items: ",
        server=Postgres,
    ),
    Step(
        "Requests hold every connection",
        """
        Requests wait for a lock while they hold all connections of the pool. At first `ready`
        only warns, because a burst of traffic looks the same. When no connection has come
        back for 5 s, `ready` turns 503, so that requests go to other pods. The database itself
        is healthy, and its own check passes.
        """,
        inject=exhaust_pool,
        repair=lambda environment: environment[Postgres].sql(UNLOCK),
        ready="503",
        reason="postgres.pool: PoolExhausted",
        server=Postgres,
    ),
]
