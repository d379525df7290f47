"""What the PostgreSQL checks prove, and in which words they fail."""

import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]

from ...health import Check, CheckFailed, CheckResult

Fetchrow = Callable[[str], Awaitable[asyncpg.Record | None]]

TRACED_AS = {"db.system.name": "postgresql", "db.operation.name": "SELECT"}
PERMANENT = (
    asyncpg.InvalidAuthorizationSpecificationError,  # includes a wrong password
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)

MIGRATIONS = Path(__file__).parents[4] / "migrations" / "versions"


class InRecovery(CheckFailed):
    """The server is a standby: it refuses writes."""


class NotInRecovery(CheckFailed):
    """The server is a primary where a standby was asked for."""


class ReadOnly(CheckFailed):
    """The server refuses writes, as after `default_transaction_read_only`."""


class SchemaBehind(CheckFailed):
    """The database lacks migrations that this build needs."""


def server_check(fetchrow: Fetchrow, role: str) -> Check:
    """Return the check that the server can do what its role asks: one query, one round trip."""
    query = """
        SELECT pg_is_in_recovery() AS in_recovery,
               current_setting('transaction_read_only')::bool AS read_only
        """

    async def check() -> CheckResult:
        row = await fetchrow(query)
        seen = dict(row) if row else {}
        if role == "standby":
            if not seen["in_recovery"]:
                raise NotInRecovery("the server is a primary, a standby was asked for", **seen)
        elif seen["in_recovery"]:
            raise InRecovery("the server is a standby and refuses writes", **seen)
        elif seen["read_only"]:
            raise ReadOnly("transactions are read-only", **seen)
        return CheckResult(data=seen)

    return Check("postgres", check, permanent=PERMANENT, attributes=TRACED_AS)


def schema_check(fetchrow: Fetchrow, migrations: Path = MIGRATIONS) -> Check:
    """Return the check that the database has every migration this build knows.

    A database that is ahead passes: in a rolling deploy the new schema comes before the new code.
    """
    known, head = read_revisions(migrations)

    async def check() -> CheckResult:
        try:
            row = await fetchrow("SELECT version_num FROM alembic_version")
        except asyncpg.UndefinedTableError:
            row = None
        current = row["version_num"] if row else None
        seen = {"current": current, "needed": head}
        if current is None or (current in known and current != head):
            raise SchemaBehind("migrations are missing", **seen)
        return CheckResult(data=seen)

    return Check("postgres.schema", check, permanent=PERMANENT, attributes=TRACED_AS)


def read_revisions(folder: Path) -> tuple[frozenset[str], str]:
    """Return the revisions of a folder of Alembic migrations, and the newest.

    Read as text: importing Alembic for two strings a file costs each start a tenth of a second.
    Raises ValueError unless the migrations are one line with one end.
    """
    texts = [path.read_text() for path in sorted(folder.glob("*.py"))]
    known = frozenset(_literals("revision", texts))
    heads = known - frozenset(_literals("down_revision", texts))
    if len(heads) != 1:
        message = f"{folder}: one newest migration expected, found {sorted(heads) or 'none'}"
        raise ValueError(message)
    return known, next(iter(heads))


def _literals(name: str, texts: Iterable[str]) -> Iterable[str]:
    pattern = re.compile(rf"""^{name}\b[^=\n]*=\s*["']([^"']+)["']""", re.MULTILINE)
    for text in texts:
        yield from pattern.findall(text)
