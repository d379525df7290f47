"""Actions on PostgreSQL that several groups of faults share."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from .environment import Environment, wait_until, wait_until_responds
from .harness import Action

RELOAD = "SELECT pg_reload_conf()"
DISCONNECT_SERVICE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service'"
)
POOL_DETECTION = 5.0 + 1.0
"""Seconds until a pool that returns no connection fails its check, which runs every second."""
FAST_ROWS = (
    "ALTER TABLE items NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE items DISABLE ROW LEVEL SECURITY",
    "DROP POLICY slow ON items",
)
"""Statements that undo `slow_rows`."""
LOCK_TIMEOUT = 30.0
"""Seconds until a lock must be granted: the longest request waits three seconds."""


def sql(*statements: str) -> Action:
    """Return an action that runs statements as the superuser, each in its own transaction."""
    return lambda env: [env.postgres.sql(statement) for statement in statements]


def slow_rows(seconds: float) -> tuple[str, ...]:
    """Return statements after which PostgreSQL takes that long for each row of the items.

    The policy is there before it applies: without one, every row would be forbidden.
    """
    return (
        f"CREATE POLICY slow ON items USING (pg_sleep({seconds}) IS NOT NULL)",
        "ALTER TABLE items ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE items FORCE ROW LEVEL SECURITY",
    )


def restore_password(env: Environment) -> None:
    """Set the password of the role back to the one that the service has."""
    password = env.postgres.url.split(":")[2].split("@")[0]
    env.postgres.sql(f"ALTER ROLE service PASSWORD '{password}'")


async def restart_with(env: Environment, settings: Mapping[str, str]) -> None:
    """Restart the service with these settings over the usual ones, and wait until it is live."""
    await asyncio.to_thread(env.service.stop)
    env.service.start_service({**env.variables, **settings})
    await wait_until_responds(env.service, "/health/live")


def run_until_released(env: Environment, statements: str) -> None:
    """Run statements that take long, until they end or `release_locks` ends their session."""
    with contextlib.suppress(RuntimeError):
        env.postgres.sql(statements)


def hold_lock(statement: str) -> Callable[[Environment], Awaitable[None]]:
    """Return an action that runs a statement in a transaction which stays open.

    It ends after a minute, or with `release_locks`.
    """
    transaction = f"BEGIN; {statement}; SELECT pg_sleep(60)"
    holders = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

    async def hold(env: Environment) -> None:
        async def is_held() -> bool:
            return await asyncio.to_thread(env.postgres.sql, holders) != "0"

        env.run_in_background(asyncio.to_thread(run_until_released, env, transaction))
        await wait_until(is_held, LOCK_TIMEOUT)

    return hold


def release_locks(env: Environment) -> None:
    """End the sessions that hold locks."""
    env.postgres.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usename = 'postgres' AND pid <> pg_backend_pid()"
    )
