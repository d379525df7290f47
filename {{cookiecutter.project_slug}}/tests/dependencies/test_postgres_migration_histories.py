"""Migrations as teams make them: branches, merges, squashed and failing ones."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from dev.postgres import Postgres

from reference_service.dependencies.postgres.check_connection import (
    CheckConnection,
)
from reference_service.dependencies.postgres.schema import (
    SchemaBehind,
    schema_check,
)

from ..conftest import StartService
from ..domain import PATH, TABLE
from ..processes import wait_until
from .postgres_migrations import (
    PROJECT,
    add_migration,
    copy_project,
    run,
    run_failing,
    running,
)

FIRST = min((PROJECT / "migrations" / "versions").glob("*.py")).name.partition("_")[0]
"""The revision that every project has."""

AFTER_FIRST = f'down_revision: str | None = "{FIRST}"'
MERGE = 'down_revision: str | tuple[str, ...] | None = (\n    "left",\n    "right",\n)'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres")) as postgres:
        yield postgres


@pytest.fixture
def database(server: Postgres) -> Postgres:
    """An empty database."""
    server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner")
    return server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of this project, to which a test adds migrations."""
    return copy_project(tmp_path / "project")


@contextlib.asynccontextmanager
async def checks(url: str) -> AsyncIterator[CheckConnection]:
    """Yield the connection of a check."""

    connection = CheckConnection(lambda seconds: asyncpg.connect(url, timeout=seconds))
    try:
        yield connection
    finally:
        await connection.close()


async def is_behind(database: Postgres, project: Path) -> bool:
    """Ask the check of a build with the project's migrations."""
    async with checks(database.url) as connection:
        result = schema_check(connection, project / "migrations" / "versions").run()
        assert asyncio.iscoroutine(result)
        try:
            await result
        except SchemaBehind:
            return True
        return False


HISTORIES = {
    "merge": (
        [("left", AFTER_FIRST), ("right", AFTER_FIRST), ("merged", MERGE)],
        ["left", "right"],
        "head",
    ),
    "branches with labels": (
        [
            ("left", f'{AFTER_FIRST}\nbranch_labels = ("reports",)'),
            ("right", AFTER_FIRST),
            ("newer", 'down_revision = "left"'),
        ],
        ["reports@left", "right"],
        "heads",
    ),
    "a base that depends on a label": (
        [
            ("left", f'{AFTER_FIRST}\nbranch_labels: str | list[str] | None = ["reports"]'),
            ("other", 'down_revision: str | None = None\ndepends_on: str | None = "reports"'),
        ],
        ["left"],
        "heads",
    ),
    "a dependency that goes on": (
        [
            ("left", AFTER_FIRST),
            ("newer", 'down_revision = "left"'),
            ("other", 'down_revision = None\ndepends_on = ("left",)'),
        ],
        ["other"],
        "heads",
    ),
    "computed": (
        [("left", AFTER_FIRST), ("right", 'down_revision = "le" + "ft" if op else None')],
        ["left"],
        "head",
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
async def test_check_agrees_with_alembic_after_each_step(
    database: Postgres, project: Path, name: str
) -> None:
    migrations, steps, last = HISTORIES[name]
    for revision, header in migrations:
        add_migration(project, revision, header)
    for step in steps:
        run(database.url, "upgrade", step, project=project)
        assert await is_behind(database, project), step
    run(database.url, "upgrade", last, project=project)
    assert not await is_behind(database, project)


def test_service_starts_on_two_heads_that_were_merged(
    database: Postgres, project: Path, start_service: StartService
) -> None:
    """The merge is the one that Alembic writes, with two rows in its table before it."""
    for revision in ("left", "right"):
        add_migration(project, revision, AFTER_FIRST)
    run(database.url, "upgrade", "heads", project=project)
    assert database.sql("SELECT count(*) FROM alembic_version") == "2"
    run(None, "merge", "heads", "-m", "join left and right", project=project)
    service = start_service(DATABASE_URL=database.url, PYTHONPATH=project / "src")
    service.until_error("postgres.schema", "SchemaBehind")
    run(database.url, "upgrade", "head", project=project)
    service.until_ready()
    assert service.check("postgres.schema")["observedValue"]["current"] not in {"left", "right"}


def test_merge_that_alembic_writes_passes_the_type_check(project: Path) -> None:
    for revision in ("left", "right"):
        add_migration(project, revision, AFTER_FIRST)
    run(None, "merge", "heads", "-m", "join left and right", project=project)
    options = ["--depends-on=left", "--depends-on=right", "--branch-label=more"]
    run(None, "revision", "-m", "more", "--head=base", *options, project=project)
    for command in ("ruff check", "ruff format --check", "mypy --strict --follow-imports=silent"):
        new = [str(path) for path in (project / "migrations" / "versions").glob("*_[jm]o*.py")]
        assert len(new) == 2
        arguments = [sys.executable, "-m", *command.split(), *new]
        done = subprocess.run(arguments, cwd=project, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stdout


def test_several_heads_are_refused_with_the_command_that_joins_them(
    database: Postgres, project: Path
) -> None:
    for revision in ("left", "right"):
        add_migration(project, revision, AFTER_FIRST)
    output = run_failing(database.url, "upgrade", "head", project=project)
    assert output == (
        "FAILED: The migrations have several heads, left and right: join them with "
        "`alembic merge heads`, or upgrade to `heads` if they are meant to stay apart."
    )
    assert database.sql(f"SELECT to_regclass('{TABLE}') IS NULL") == "t"


async def test_database_of_a_squashed_history_is_ahead_but_is_not_migrated(
    database: Postgres, project: Path
) -> None:
    run(database.url, "upgrade", "head", project=project)
    database.sql("UPDATE alembic_version SET version_num = 'squashed'")
    assert not await is_behind(database, project)
    output = run_failing(database.url, "upgrade", "head", project=project)
    assert output == (
        "FAILED: Can't locate revision identified by 'squashed'; "
        "run the build that has it, or in development `make clean-data`."
    )


async def test_squashed_history_that_keeps_the_newest_revision_changes_nothing(
    database: Postgres, project: Path
) -> None:
    add_migration(project, "newest", AFTER_FIRST)
    run(database.url, "upgrade", "head", project=project)
    versions = project / "migrations" / "versions"
    for path in versions.glob(f"{FIRST}_*.py"):
        path.unlink()
    add_migration(project, "newest", "down_revision: str | None = None")
    assert not await is_behind(database, project)
    assert "Running upgrade" not in run(database.url, "upgrade", "head", project=project)


def test_failed_migration_is_rolled_back_and_the_service_goes_on(
    database: Postgres, project: Path, start_service: StartService
) -> None:
    run(database.url, "upgrade", "head", project=project)
    service = start_service(DATABASE_URL=database.url, HEALTH_CHECK_INTERVAL=1)
    service.until_ready()
    statements = [f'op.add_column("{TABLE}", sa.Column("half", sa.Integer()))']
    statements += ['op.execute("INSERT INTO nowhere VALUES (1)")']
    add_migration(project, "broken", AFTER_FIRST, *statements)
    output = run_failing(database.url, "upgrade", "head", project=project)
    running_line, sentence = output.splitlines()
    assert running_line == f"Running upgrade {FIRST} -> broken, broken."
    rolled_back = "FAILED: The migration's transaction was rolled back: "
    assert sentence == f'{rolled_back}relation "nowhere" does not exist'
    columns = f"SELECT count(*) FROM pg_attribute WHERE attrelid = '{TABLE}'::regclass"
    assert database.sql(f"{columns} AND attname = 'half'") == "0"
    assert database.sql("SELECT version_num FROM alembic_version") == FIRST
    attempts = service.check("postgres.schema")["attempts"]
    wait_until(lambda: service.check("postgres.schema")["attempts"] > attempts)
    assert service.check("postgres.schema")["status"] == "pass"
    assert service.api.get(PATH).status_code == 200
    newer = start_service(DATABASE_URL=database.url, PYTHONPATH=project / "src")
    newer.until_error("postgres.schema", "SchemaBehind")
    assert newer.probe("ready") == 503


def test_migration_that_fails_outside_a_transaction_can_be_repeated(
    database: Postgres, project: Path
) -> None:
    run(database.url, "upgrade", "head", project=project)
    database.sql(f"INSERT INTO {TABLE} (name) VALUES ('same'), ('same')")
    statements = [
        "with op.get_context().autocommit_block():",
        '    op.execute("DROP INDEX CONCURRENTLY IF EXISTS only_one")',
        f'    op.create_index("only_one", "{TABLE}", ["name"], unique=True,',
        "        postgresql_concurrently=True)",
    ]
    add_migration(project, "index", AFTER_FIRST, *statements)
    output = run_failing(database.url, "upgrade", "head", project=project)
    assert output.endswith('was rolled back: could not create unique index "only_one"')
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert database.sql(invalid) == "1"
    database.sql(f"TRUNCATE {TABLE}")
    run(database.url, "upgrade", "head", project=project)
    assert database.sql(invalid) == "0"


def test_two_deployments_that_migrate_at_once_both_succeed(
    database: Postgres, project: Path
) -> None:
    """The newer one has a migration more. One waits for the other."""
    add_migration(project, "newer", AFTER_FIRST, 'op.execute("SELECT pg_sleep(1)")')
    with (
        running(database.url, "upgrade", "head", project=project) as newer,
        running(database.url, "upgrade", FIRST, project=project) as older,
    ):
        outputs = [process.communicate(timeout=120)[1] for process in (newer, older)]
    assert [newer.returncode, older.returncode] == [0, 0], outputs
    assert database.sql("SELECT version_num FROM alembic_version") == "newer"
    assert sum(output.count("Running upgrade") for output in outputs) == 2
