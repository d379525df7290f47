"""The tables of every domain, and the check that the database has the migrations of this build."""

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import MetaData

from ...health import Check, CheckFailed, CheckResult, Status
from .check_connection import CheckConnection
from .checks import PostgresCheck

# Every domain adds its tables, for example `Table("orders", METADATA, OrderColumns)`. Migrations
# compare them with the database. The names of constraints are PostgreSQL's own, so that migrations
# can refer to them.
METADATA = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

PACKAGE = Path(__file__).parents[2]
QUERY = "SELECT array_agg(version_num ORDER BY version_num) AS revisions FROM alembic_version"
TIMEOUT = 3.0  # seconds: the check waits for another one that uses the same connection
MIN_INTERVAL = 4.0  # seconds: a schema changes rarely, and the other check must not wait each time


class SchemaBehind(CheckFailed):
    """The database lacks migrations that this build needs."""


def schema_check(connection: CheckConnection, migrations: Path) -> Check:
    """Return the check that the database has every migration of a folder.

    A database that is ahead passes: in a rolling update the schema changes before the code does.
    While a migration locks Alembic's table, the check warns if it has passed before. It also warns
    if the role may not read the table. A pass counts for `MIN_INTERVAL`, however often failing
    requests bring attempts forward.
    """
    known, heads = read_revisions(migrations)
    passed: CheckResult | None = None
    passed_at = 0.0

    async def check() -> CheckResult:
        nonlocal passed, passed_at
        if passed and time.monotonic() - passed_at < MIN_INTERVAL:
            return passed
        row = None
        try:
            row = await connection.fetch_row(QUERY)
        except asyncpg.UndefinedTableError:
            pass
        except asyncpg.LockNotAvailableError:
            if not passed:
                raise
            return CheckResult(Status.WARN, "the table alembic_version is locked")
        except asyncpg.InsufficientPrivilegeError:
            role = await connection.fetch_row("SELECT quote_ident(current_user) AS name")
            sentence = "the version is unknown; run: GRANT SELECT ON alembic_version TO"
            return CheckResult(Status.WARN, f"{sentence} {role and role['name']}")
        current = frozenset((row and row["revisions"]) or ())
        data = {"current": ", ".join(sorted(current)) or None, "needed": ", ".join(sorted(heads))}
        if is_behind(current, known, heads):
            passed = None
            raise SchemaBehind("migrations are missing", **data)
        passed, passed_at = CheckResult(data=data), time.monotonic()
        return passed

    return PostgresCheck("postgres.schema", check, timeout=TIMEOUT)


def is_behind(current: frozenset[str], known: frozenset[str], heads: frozenset[str]) -> bool:
    """Tell whether a database lacks migrations.

    current: its revisions: one for each branch. known: the revisions of this build. heads: those of
        them that no other one follows.
    """
    if not current or current & known - heads:
        return True
    return current <= known and not heads <= current


def find_migrations(package: Path = PACKAGE) -> Path:
    """Return the folder of the migrations: the source tree's, or in a wheel the package's copy."""
    packaged = package / "migrations"
    return packaged if packaged.is_dir() else package.parents[1] / "migrations" / "versions"


def read_revisions(folder: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Return the revisions in a folder of Alembic migrations, and those that no other one follows.

    They are read as text, because importing Alembic would add 0.1 s to each start.
    Raises ValueError if there are none.
    """
    texts = [path.read_text() for path in sorted(folder.glob("*.py"))]
    known = frozenset(_literals("revision", texts))
    heads = known - frozenset(_literals("down_revision", texts))
    if not heads:
        raise ValueError(f"{folder}: no newest migration found")
    return known, heads


def _literals(name: str, texts: Iterable[str]) -> Iterator[str]:
    """Yield the strings that each text assigns to a name: one, or a tuple of them."""
    assignment = re.compile(rf"^{name}\b[^=\n]*=\s*(\([^)]*\)|.*)", re.MULTILINE)
    for text in texts:
        for value in assignment.findall(text):
            yield from re.findall(r"""["']([^"']+)["']""", value)
