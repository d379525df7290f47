"""Failures of PostgreSQL: stopped, frozen, read-only, and without a free connection."""

from dev.drill.environment import Environment
from dev.drill.step import Action, Step
from dev.postgres import Postgres

TABLE, ROUTE = "items", "/items"
"""A table of the service, and a route that reads it."""

RELOAD = "SELECT pg_reload_conf()"
LOCK = f"BEGIN; LOCK TABLE {TABLE}; SELECT pg_sleep(60)"
LOCKED = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
UNLOCK = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()
    """


def execute(*statements: str) -> Action:
    """Return an action that runs statements as the superuser, each in its own transaction."""
    return lambda environment: [environment[Postgres].sql(each) for each in statements]


def revoke_privileges(environment: Environment) -> None:
    """Take the privileges on the table from the service, and send a request, which fails."""
    environment[Postgres].sql(f"ALTER TABLE {TABLE} OWNER TO CURRENT_USER")
    environment.request(ROUTE)


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
        inject=execute("ALTER SYSTEM SET default_transaction_read_only = on", RELOAD),
        repair=execute("ALTER SYSTEM RESET default_transaction_read_only", RELOAD),
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
        inject=execute("ALTER SYSTEM SET synchronous_standby_names = 'lost'", RELOAD),
        repair=execute("ALTER SYSTEM RESET synchronous_standby_names", RELOAD),
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
        repair=execute(f"ALTER TABLE {TABLE} OWNER TO service"),
        ready="503",
        reason="items: ",
        server=Postgres,
    ),
    Step(
        "Requests hold every connection",
        """
        Requests wait for a lock while they hold all connections of the pool. At first `ready`
        only warns, because a burst looks the same. No connection comes back, so the check of
        the items opens one more. It meets the same lock: `ready` turns 503. `postgres` passes.
        """,
        inject=exhaust_pool,
        repair=execute(UNLOCK),
        ready="503",
        reason=f"{TABLE}: OperationFailed",
        server=Postgres,
    ),
]
