"""The migrations, run as people run them, on a real PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import datetime

import asyncpg  # type: ignore[import-untyped]
import pytest

from dev.postgres import Postgres

from ..domain import TABLE
from ..processes import eventually
from .postgres_migrations import PROJECT, run, run_failing, running

REVISIONS = len(list((PROJECT / "migrations" / "versions").glob("*.py")))


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
async def other(database: Postgres) -> AsyncIterator[asyncpg.Connection]:
    """Another client's connection to the database."""
    connection = await asyncpg.connect(database.url)
    yield connection
    await connection.close()


def test_migrations_match_the_tables_and_can_be_downgraded(database: Postgres) -> None:
    run(database.url, "upgrade", "head")
    assert "No new upgrade operations detected." in run(database.url, "check")
    run(database.url, "downgrade", "base")
    tables = database.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert tables == "alembic_version"


def test_replicas_that_start_together_migrate_once(database: Postgres) -> None:
    with ExitStack() as stack:
        replicas = [stack.enter_context(running(database.url, "upgrade", "head")) for _ in "1234"]
        outputs = [replica.communicate(timeout=120)[1] for replica in replicas]
    assert [replica.returncode for replica in replicas] == [0] * 4, outputs
    assert sum("Running upgrade" in output for output in outputs) == 1
    assert sum(output.count("Running upgrade") for output in outputs) == REVISIONS


async def test_waiting_migration_blocks_no_statement_and_continues_afterwards(
    database: Postgres, other: asyncpg.Connection
) -> None:
    await other.execute("CREATE TABLE pages (id int)")
    assert await other.fetchval("SELECT pg_try_advisory_lock(27422255623596387)")
    rollbacks: set[tuple[int, datetime]] = set()
    query = "SELECT pid, query_start FROM pg_stat_activity WHERE query LIKE 'ROLLBACK%'"
    with running(database.url, "upgrade", "head") as process:

        async def is_waiting() -> bool:
            """Each refused attempt ends with a rollback; so does opening the first connection."""
            assert process.poll() is None
            rollbacks.update([(row["pid"], row["query_start"]) for row in await other.fetch(query)])
            return len(rollbacks) >= 3

        await eventually(is_waiting)
        await other.execute("CREATE INDEX CONCURRENTLY ON pages (id)")
        await other.close()
        assert process.communicate(timeout=120)[1].count("Running upgrade") == REVISIONS


async def test_migration_gives_up_soon_on_a_table_in_use(
    database: Postgres, other: asyncpg.Connection
) -> None:
    run(database.url, "upgrade", "head")
    async with other.transaction():
        await other.execute(f"SELECT FROM {TABLE}")
        output = run_failing(database.url, "downgrade", "base")
    sentence = (
        "The migration's transaction was rolled back: it waited 3s for a table in use; try again."
    )
    assert output.endswith(sentence)
    assert database.sql(f"SELECT to_regclass('{TABLE}')") == TABLE
    assert run(database.url, "upgrade", "head")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (None, "FAILED: DATABASE_URL: not set."),
        ("mysql://user@host/db", "FAILED: DATABASE_URL: not the URL"),
        ("postgresql://user:pass@127.0.0.1:1/db", "FAILED: The database cannot be reached: "),
    ],
)
def test_unusable_url_is_reported_in_one_line(url: str | None, sentence: str) -> None:
    output = run_failing(url, "upgrade", "head")
    assert output.startswith(sentence)
    assert "\n" not in output
    assert "pass@" not in output


def test_wrong_password_is_reported_in_one_line(server: Postgres) -> None:
    output = run_failing(f"postgresql://somebody:pass@127.0.0.1:{server.port}/db", "current")
    expected = "FAILED: The database cannot be reached: password authentication failed"
    assert output.startswith(expected)
    assert "\n" not in output


def test_sql_is_printed_without_a_database() -> None:
    assert "CREATE TABLE" in run(None, "upgrade", "head", "--sql")
