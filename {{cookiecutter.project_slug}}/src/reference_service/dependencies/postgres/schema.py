"""The tables of every domain, and the check that the database has the migrations of this build."""

import re
import runpy
from ast import literal_eval
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

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
NAMES = r"revision|down_revision|depends_on|branch_labels"
# Migrations are read as text, because importing Alembic would add 0.1 s to each start.
ASSIGNMENT = re.compile(rf"^({NAMES})\b[^=\n]*=[ \t]*([(\[][^)\]]*[)\]]|.*)", re.MULTILINE)
QUERY = "SELECT array_agg(version_num ORDER BY version_num) AS revisions FROM alembic_version"
TIMEOUT = 3.0  # seconds: the check waits for another one that uses the same connection

History = Mapping[str, frozenset[str]]  # each revision, and those that it follows or depends on


class SchemaBehind(CheckFailed):
    """The database lacks migrations that this build needs."""


def schema_check(connection: CheckConnection, migrations: Path) -> Check:
    """Return the check that the database has every migration of a folder.

    A database that is ahead passes: in a rolling update the schema changes before the code does.
    While a migration locks Alembic's table, the check warns if it has passed before. It also warns
    if the role may not read the table.
    Raises ValueError if the folder has no migrations.
    """
    history = read_history(migrations)
    needed = ", ".join(sorted(newest(history)))
    has_passed = False

    async def check() -> CheckResult:
        nonlocal has_passed
        row = None
        try:
            row = await connection.fetch_row(QUERY)
        except asyncpg.UndefinedTableError:
            pass
        except asyncpg.LockNotAvailableError:
            if not has_passed:
                raise
            return CheckResult(Status.WARN, "the table alembic_version is locked")
        except asyncpg.InsufficientPrivilegeError:
            role = await connection.fetch_row("SELECT quote_ident(current_user) AS name")
            sentence = "the version is unknown; run: GRANT SELECT ON alembic_version TO"
            return CheckResult(Status.WARN, f"{sentence} {role and role['name']}")
        current = (row and row["revisions"]) or ()
        data = {"current": ", ".join(current) or None, "needed": needed}
        has_passed = not is_behind(current, history)
        if not has_passed:
            raise SchemaBehind("migrations are missing", **data)
        return CheckResult(data=data)

    return PostgresCheck("postgres.schema", check, timeout=TIMEOUT)


def is_behind(current: Collection[str], history: History) -> bool:
    """Tell whether a database lacks migrations.

    current: the rows of Alembic's table. Those that this build does not have are of a newer one.
    """
    applied = set(current)
    while earlier := set().union(*(history.get(each, ()) for each in applied)) - applied:
        applied |= earlier
    missing = history.keys() - applied
    if applied <= history.keys():
        return bool(missing)
    return any(history[each] & set(current) for each in missing)


def find_migrations(package: Path = PACKAGE) -> Path:
    """Return the folder of the migrations: the source tree's, or in a wheel the package's copy."""
    packaged = package / "migrations"
    return packaged if packaged.is_dir() else package.parents[1] / "migrations" / "versions"


def read_history(folder: Path) -> History:
    """Return the revisions in a folder of Alembic migrations. Raises ValueError if it has none."""
    read = map(_read_names, sorted(folder.glob("*.py")))
    migrations = [names for names in read if "revision" in names]
    labels: dict[str, str] = {}
    history = {}
    for each in migrations:
        labels |= dict.fromkeys(_strings(each, "branch_labels"), each["revision"])
    for each in migrations:
        parents = *_strings(each, "down_revision"), *_strings(each, "depends_on")
        history[each["revision"]] = frozenset(labels.get(parent, parent) for parent in parents)
    if not newest(history):
        raise ValueError(f"{folder}: no newest migration found")
    return history


def newest(history: History) -> frozenset[str]:
    """Return the revisions that no other one follows or depends on: one for each branch."""
    return frozenset(history).difference(*history.values())


def _read_names(path: Path) -> dict[str, Any]:
    """Return what a migration assigns to `NAMES`. A file with other values is run."""
    try:
        text = path.read_text("utf-8")
        names = {name: literal_eval(value) for name, value in ASSIGNMENT.findall(text)}
    except (SyntaxError, ValueError):
        names = {}
    return names if {"revision", "down_revision"} <= names.keys() else runpy.run_path(str(path))


def _strings(names: Mapping[str, Any], name: str) -> Iterable[str]:
    value = names.get(name) or ()
    return (value,) if isinstance(value, str) else value
