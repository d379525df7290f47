"""The check of the PostgreSQL server: it has the role that the service needs."""

from collections.abc import Awaitable, Callable
from functools import partial

import asyncpg  # type: ignore[import-untyped]

from ...health import Check, CheckFailed, CheckResult

# Sends a query and returns the first row of the result.
FetchRow = Callable[[str], Awaitable[asyncpg.Record | None]]

PostgresCheck = partial(  # creates a check that sends a query
    Check,
    permanent=(
        asyncpg.InvalidAuthorizationSpecificationError,  # includes a wrong password
        asyncpg.InvalidCatalogNameError,
        asyncpg.InsufficientPrivilegeError,
    ),
    attributes={"db.system.name": "postgresql", "db.operation.name": "SELECT"},
)

QUERY = """
    SELECT pg_is_in_recovery() AS in_recovery,
           current_setting('transaction_read_only')::bool AS read_only
    """


class InRecovery(CheckFailed):
    """The server is a standby and rejects writes."""


class NotInRecovery(CheckFailed):
    """The server is a primary, but the service expects a standby."""


class ReadOnly(CheckFailed):
    """The server rejects writes, for example because of `default_transaction_read_only`."""


def server_check(fetch_row: FetchRow, role: str) -> Check:
    """Return the check that the server has the role. It sends one query in one round trip."""

    async def check() -> CheckResult:
        row = await fetch_row(QUERY)
        data = dict(row) if row else {}
        if role == "standby":
            if not data["in_recovery"]:
                raise NotInRecovery("the server is a primary, not a standby", **data)
        elif data["in_recovery"]:
            raise InRecovery("the server is a standby and rejects writes", **data)
        elif data["read_only"]:
            raise ReadOnly("transactions are read-only", **data)
        return CheckResult(data=data)

    return PostgresCheck("postgres", check)
