"""Break what is between the service and its database when a connection pooler is."""

import asyncio

from .environment import Environment, wait_until
from .harness import DETECTION, Fault, do_nothing
from .pooler import no_pooler
from .postgres_actions import restart_with
from .probe_client import CONNECTION_FAILED, OK

PREPARED_STATEMENTS = {"DATABASE_PREPARED_STATEMENTS": "true"}
LOG_LINE = "prepared statement lost; set DATABASE_PREPARED_STATEMENTS=false for a pooler"
WARNING_DELAY = 12.0
"""Seconds within which the check of recent requests warns: it looks at the last ten."""


async def use_prepared_statements(env: Environment) -> None:
    """Restart the service with the setting that a pooler does not support."""
    await restart_with(env, PREPARED_STATEMENTS)


async def use_no_prepared_statements(env: Environment) -> None:
    """Restart the service with its usual settings."""
    await restart_with(env, {})


async def requests_fail_and_setting_is_named(env: Environment) -> list[str]:
    """Check that the log names the setting once, although many requests have failed."""

    async def is_named() -> bool:
        text = await asyncio.to_thread(env.service.log.read_text, errors="replace")
        return text.count(LOG_LINE) == 1

    try:
        await wait_until(is_named, WARNING_DELAY)
    except TimeoutError:
        return ["the log does not name the setting once"]
    return []


POOLER = [
    Fault(
        "PgBouncer in transaction mode, without prepared statements (still ready)",
        do_nothing,
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
        needs=no_pooler,
    ),
    Fault(
        "PgBouncer in transaction mode, with prepared statements",
        use_prepared_statements,
        use_no_prepared_statements,
        ready_code=OK,  # and red, whenever a statement of a check is lost
        allowed_codes=frozenset({503, 504, CONNECTION_FAILED}),
        hold=DETECTION,
        red_is_right="it is restarted for this: it drains, and then starts",
        green_is_right="it knows nothing of the requests that failed while it was restarted",
        intermittent=True,
        verify=requests_fail_and_setting_is_named,
        recover_within=10,
        needs=no_pooler,
    ),
    Fault(
        "PgBouncer is frozen",
        lambda env: env.pooler.pause(),
        lambda env: env.pooler.resume(),
        ready_code=504,
        failure="postgres: TimeoutError",
        needs=no_pooler,
    ),
    Fault(
        "PgBouncer is killed",
        lambda env: env.pooler.kill(),
        lambda env: env.pooler.start(),
        failure="postgres: Connection",
        needs=no_pooler,
    ),
    Fault(
        "PostgreSQL behind PgBouncer is frozen",
        lambda env: env.postgres.pause(),
        lambda env: env.postgres.resume(),
        ready_code=504,
        failure="postgres: TimeoutError",
        needs=no_pooler,
    ),
    Fault(
        "PostgreSQL behind PgBouncer restarts (still ready)",
        lambda env: env.postgres.restart(),
        ready_code=OK,
        allowed_codes=frozenset({503}),
        hold=3,
        needs=no_pooler,
    ),
]
