"""The check of the schema: the database has every migration that this build knows."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]

from ...health import Check, CheckFailed, CheckResult
from .checks import FetchRow, PostgresCheck

PACKAGE = Path(__file__).parents[2]


class SchemaBehind(CheckFailed):
    """The database lacks migrations that this build needs."""


def schema_check(fetch_row: FetchRow, migrations: Path) -> Check:
    """Return the check that the database has every migration of a folder.

    A database that is ahead passes: in a rolling update the schema changes before the code does.
    """
    known, head = read_revisions(migrations)

    async def check() -> CheckResult:
        try:
            row = await fetch_row("SELECT version_num FROM alembic_version")
        except asyncpg.UndefinedTableError:
            row = None
        current = row["version_num"] if row else None
        data = {"current": current, "needed": head}
        if current is None or (current in known and current != head):
            raise SchemaBehind("migrations are missing", **data)
        return CheckResult(data=data)

    return PostgresCheck("postgres.schema", check)


def find_migrations(package: Path = PACKAGE) -> Path:
    """Return the folder of the migrations: the source tree's, or in a wheel the package's copy."""
    packaged = package / "migrations"
    return packaged if packaged.is_dir() else package.parents[1] / "migrations" / "versions"


def read_revisions(folder: Path) -> tuple[frozenset[str], str]:
    """Return the revisions in a folder of Alembic migrations, and the newest one.

    They are read as text, because importing Alembic would add 0.1 s to each start.
    Raises ValueError unless there is one newest revision.
    """
    texts = [path.read_text() for path in sorted(folder.glob("*.py"))]
    known = frozenset(_literals("revision", texts))
    heads = known - frozenset(_literals("down_revision", texts))
    if len(heads) != 1:
        raise ValueError(f"{folder}: one newest migration expected, found {sorted(heads)}")
    return known, next(iter(heads))


def _literals(name: str, texts: Iterable[str]) -> Iterator[str]:
    """Yield the string that each text assigns to a name."""
    pattern = re.compile(rf"""^{name}\b[^=\n]*=\s*["']([^"']+)["']""", re.MULTILINE)
    for text in texts:
        yield from pattern.findall(text)
