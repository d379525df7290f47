"""The migrations, run as people run them, on a real PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

from dev.postgres import Postgres

PROJECT = Path(__file__).parents[2]
REVISIONS = len(list((PROJECT / "migrations" / "versions").glob("*.py")))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres")) as postgres:
        yield postgres


@pytest.fixture
def database(server: Postgres) -> Postgres:
    server.sql("DROP TABLE IF EXISTS items, alembic_version")
    return server


@pytest.fixture
async def other(database: Postgres) -> AsyncIterator[asyncpg.Connection]:
    """Another connection to the database, which somebody else uses."""
    connection = await asyncpg.connect(database.url)
    yield connection
    await connection.close()


def alembic(url: str | None, *command: str) -> dict[str, Any]:
    """Return what runs alembic: the arguments of subprocess.run and of Popen."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return {
        "args": [sys.executable, "-m", "alembic", *command],
        "cwd": PROJECT,
        "env": environment | ({"DATABASE_URL": url} if url else {}),
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


@contextmanager
def running(url: str, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Have alembic running; it ends at the latest with the block."""
    with subprocess.Popen(**alembic(url, *command)) as process:
        try:
            yield process
        finally:
            process.kill()


def run(url: str | None, *command: str) -> str:
    """Run alembic to its success, and return what it wrote."""
    done = subprocess.run(**alembic(url, *command), check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return str(done.stdout + done.stderr)


def refused(url: str | None, *command: str) -> str:
    """Run alembic to its failure, and return what it wrote, less its own greeting."""
    done = subprocess.run(**alembic(url, *command), check=False, timeout=60)
    assert done.returncode != 0
    lines = (done.stderr + done.stdout).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("Context impl", "Will assume")))


def test_migrations_make_what_the_models_say_and_can_be_taken_back(database: Postgres) -> None:
    run(database.url, "upgrade", "head")
    assert "No new upgrade operations detected." in run(database.url, "check")
    run(database.url, "downgrade", "base")
    tables = database.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert tables == "alembic_version"


def test_replicas_that_start_together_migrate_once(database: Postgres) -> None:
    with ExitStack() as stack:
        replicas = [stack.enter_context(running(database.url, "upgrade", "head")) for _ in "1234"]
        errors = [replica.communicate(timeout=60)[1] for replica in replicas]
    assert [replica.returncode for replica in replicas] == [0] * 4, errors
    assert sum("Running upgrade" in said for said in errors) == 1
    assert sum(said.count("Running upgrade") for said in errors) == REVISIONS


async def test_a_migration_that_waits_its_turn_blocks_nobody_and_goes_on_afterwards(
    database: Postgres, other: asyncpg.Connection
) -> None:
    await other.execute("CREATE TABLE IF NOT EXISTS pages (id int)")
    assert await other.fetchval("SELECT pg_try_advisory_lock(27422255623596387)")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%try_advisory%' AND pid <> "
    with running(database.url, "upgrade", "head") as process:
        while not await other.fetchval(f"{waiting} pg_backend_pid()"):
            assert process.poll() is None
        await other.execute("CREATE INDEX CONCURRENTLY ON pages (id)")
        await other.close()
        assert process.communicate(timeout=60)[1].count("Running upgrade") == REVISIONS


async def test_a_migration_does_not_wait_long_for_a_table_in_use(
    database: Postgres, other: asyncpg.Connection
) -> None:
    run(database.url, "upgrade", "head")
    async with other.transaction():
        await other.execute("SELECT FROM items")
        said = refused(database.url, "downgrade", "base")
    assert said.endswith("A migration waited 3s for a table in use and was undone; try again.")
    assert run(database.url, "current").startswith("0001")  # the one that made the table


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (None, "FAILED: DATABASE_URL: not set."),
        ("mysql://user@host/db", "FAILED: DATABASE_URL: not the URL"),
        ("postgresql://user:pass@127.0.0.1:1/db", "FAILED: The database cannot be reached: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(url: str | None, sentence: str) -> None:
    said = refused(url, "upgrade", "head")
    assert said.startswith(sentence)
    assert "\n" not in said
    assert "pass@" not in said


def test_a_wrong_password_is_said_in_one_line(server: Postgres) -> None:
    said = refused(f"postgresql://somebody:pass@127.0.0.1:{server.port}/db", "current")
    assert said.startswith("FAILED: The database cannot be reached: password authentication failed")
    assert "\n" not in said


def test_the_sql_can_be_printed_without_a_database() -> None:
    assert "CREATE TABLE items" in run(None, "upgrade", "head", "--sql")
