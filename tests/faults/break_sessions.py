"""Break PostgreSQL's sessions: those that are open, or those that are about to be opened."""

import asyncio
import time

from dev.standby import freeze

from .environment import POOL, Environment
from .harness import DETECTION, PERMANENT_DETECTION, Fault
from .postgres_actions import DISCONNECT_SERVICE, RELOAD, restore_password, sql
from .probe_client import OK

RECONNECTION = 12.0
"""Seconds until every hung connection of the pool must have been replaced: a request takes ten."""
CONNECTION_AGE = 70.0
"""Seconds after which every check has tried to replace its connection: it does so each minute."""
NO_OVERFLOW = {"DATABASE_POOL_SIZE": str(POOL), "DATABASE_MAX_OVERFLOW": "0"}
"""Settings with which an open pool needs no new connection."""
REJECT = "host all service 127.0.0.1/32 reject\n"


def reject_by_address(env: Environment) -> None:
    """Let the server reject the role from this address, and disconnect it."""
    rules = env.postgres.folder / "data" / "pg_hba.conf"
    rules.write_text(REJECT + rules.read_text())
    sql(RELOAD, DISCONNECT_SERVICE)(env)


def accept_by_address(env: Environment) -> None:
    """Accept the role again."""
    rules = env.postgres.folder / "data" / "pg_hba.conf"
    rules.write_text(rules.read_text().removeprefix(REJECT))
    env.postgres.sql(RELOAD)


def keep_read_only_sessions(env: Environment) -> None:
    """Let the service's open sessions be read-only, and new ones not.

    So it is after a failover behind a proxy: open connections still lead to the former primary.
    """
    sql("ALTER ROLE service SET default_transaction_read_only = on", DISCONNECT_SERVICE)(env)
    deadline = time.monotonic() + 10
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'service'"
    while int(env.postgres.sql(sessions)) <= POOL and time.monotonic() < deadline:
        time.sleep(0.1)
    env.postgres.sql("ALTER ROLE service RESET default_transaction_read_only")


async def all_connections_are_new(env: Environment) -> list[str]:
    """Check that no frozen backend is left in the pool: eight requests at once succeed."""
    codes = await asyncio.gather(*(env.service.get("/items") for _ in range(8)))
    return [] if set(codes) == {OK} else [f"requests returned {codes}"]


CHECKS_ONLY = (
    "SELECT ON pg_stat_activity",
    "EXECUTE ON FUNCTION pg_stat_get_activity, pg_postmaster_start_time",
    "EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text, boolean)",
)
"""Privileges that everyone has by default, and that no request needs."""

SESSIONS = [
    Fault(
        "Open connections lead to a read-only server, new ones do not (as after a failover)",
        keep_read_only_sessions,
        ready_code=OK,
        allowed_codes=frozenset({503, 504}),
        hold=8,
    ),
    Fault(
        "Open connections to PostgreSQL hang, new ones work",
        lambda env: freeze(env.postgres, "client backend"),
        lambda env: env.postgres.resume(),
        ready_code=OK,
        allowed_codes=frozenset({503, 504}),
        hold=RECONNECTION,
        verify=all_connections_are_new,
    ),
    Fault(
        "PostgreSQL ends all connections once (still ready)",
        sql(DISCONNECT_SERVICE),
        ready_code=OK,
        allowed_codes=frozenset({503}),
        hold=3,
    ),
    Fault(
        "PostgreSQL ends sessions that are idle for 50 ms (still ready)",
        sql("ALTER ROLE service SET idle_session_timeout = '50ms'", DISCONNECT_SERVICE),
        sql("ALTER ROLE service RESET idle_session_timeout", DISCONNECT_SERVICE),
        ready_code=OK,
        max_failures=8,  # those that were interrupted when the sessions were replaced
        allowed_codes=frozenset({503}),
        hold=DETECTION,
    ),
    Fault(
        "PostgreSQL ends transactions that are idle for 50 ms (still ready)",
        sql("ALTER ROLE service SET idle_in_transaction_session_timeout = '50ms'"),
        sql("ALTER ROLE service RESET idle_in_transaction_session_timeout"),
        ready_code=OK,
        max_failures=0,
        hold=3,
    ),
    Fault(
        "PostgreSQL accepts no new connections from the service, and the open ones work",
        sql("ALTER ROLE service CONNECTION LIMIT 1"),
        sql("ALTER ROLE service CONNECTION LIMIT -1"),
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
        settings=NO_OVERFLOW,
    ),
    Fault(
        "Others use every free connection of PostgreSQL for over a minute",
        sql("ALTER DATABASE service CONNECTION LIMIT 1"),
        sql("ALTER DATABASE service CONNECTION LIMIT -1"),
        ready_code=OK,
        max_failures=0,
        hold=CONNECTION_AGE,
        settings=NO_OVERFLOW,
    ),
    Fault(
        "PostgreSQL password is changed, and the open connections work",
        sql("ALTER ROLE service PASSWORD 'other'"),
        restore_password,
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
        settings=NO_OVERFLOW,
    ),
    Fault(
        "PostgreSQL role may not log in",
        sql("ALTER ROLE service NOLOGIN", DISCONNECT_SERVICE),
        sql("ALTER ROLE service LOGIN"),
        failure="postgres: InvalidAuthorizationSpecificationError",
        detect_within=PERMANENT_DETECTION,
    ),
    Fault(
        "PostgreSQL rejects the service's address",
        reject_by_address,
        accept_by_address,
        failure="postgres: InvalidAuthorizationSpecificationError",
        detect_within=PERMANENT_DETECTION,
    ),
    Fault(
        "PostgreSQL role may not connect to the database",
        sql("REVOKE CONNECT ON DATABASE service FROM service, PUBLIC", DISCONNECT_SERVICE),
        sql("GRANT CONNECT ON DATABASE service TO service, PUBLIC"),
        failure="postgres: InsufficientPrivilegeError",
        detect_within=PERMANENT_DETECTION,
    ),
    Fault(
        "PostgreSQL role may not use the functions that only checks call (still ready)",
        sql(*(f"REVOKE {privilege} FROM PUBLIC" for privilege in CHECKS_ONLY), DISCONNECT_SERVICE),
        sql(*(f"GRANT {privilege} TO PUBLIC" for privilege in CHECKS_ONLY)),
        ready_code=OK,
        max_failures=8,  # those that were interrupted when the sessions were replaced
        allowed_codes=frozenset({503}),
        hold=DETECTION,
    ),
    Fault(
        "New sessions look for tables in another schema",
        sql("ALTER ROLE service SET search_path = 'elsewhere'", DISCONNECT_SERVICE),
        sql("ALTER ROLE service RESET search_path", DISCONNECT_SERVICE),
        failure="postgres.schema: ",
    ),
]
