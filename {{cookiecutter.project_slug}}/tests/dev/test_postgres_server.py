"""The embedded PostgreSQL: a real server that can be stopped, killed and frozen."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from dev.postgres import Postgres
from dev.process import Process, wait_until


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres"), settings={"max_connections": "7"}) as server:
        yield server


async def fetch(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_the_service_owns_its_database_and_is_no_superuser(postgres: Postgres) -> None:
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    assert await fetch(postgres.url, owner) == await fetch(postgres.url, "SELECT current_user")
    assert await fetch(postgres.url, "SHOW is_superuser") == "off"
    assert await fetch(postgres.admin_url, "SHOW is_superuser") == "on"


async def test_a_wrong_password_is_rejected(postgres: Postgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url, password="guessed")


def test_it_listens_only_on_loopback(postgres: Postgres) -> None:
    assert postgres.sql("SHOW listen_addresses; SHOW unix_socket_directories") == "127.0.0.1"


def test_settings_reach_the_server(postgres: Postgres) -> None:
    assert postgres.sql("SHOW max_connections") == "7"


def test_a_failing_statement_raises_the_message_of_the_server(postgres: Postgres) -> None:
    with pytest.raises(RuntimeError, match='relation "nothing" does not exist'):
        postgres.sql("SELECT * FROM nothing")


def test_a_restart_and_a_crash_keep_the_data(postgres: Postgres) -> None:
    postgres.sql("CREATE TABLE kept AS SELECT 41 AS answer")

    postgres.restart()

    postgres.sql("UPDATE kept SET answer = answer + 1")

    postgres.kill()
    postgres.start()

    assert postgres.sql("SELECT answer FROM kept; DROP TABLE kept") == "42"


async def test_clients_of_a_paused_server_wait_until_it_resumes(postgres: Postgres) -> None:
    connection = await asyncpg.connect(postgres.url)
    postgres.pause()
    try:
        existing = asyncio.create_task(connection.fetchval("SELECT 1"))  # its backend is paused too
        new = asyncio.create_task(fetch(postgres.url, "SELECT 1"))
        done, _ = await asyncio.wait({existing, new}, timeout=0.5)
        assert not done
    finally:
        postgres.resume()

    assert (await existing, await new) == (1, 1)
    await connection.close()


def test_it_starts_although_another_program_has_the_process_id_of_the_killed_server(
    tmp_path: Path,
) -> None:
    """PostgreSQL alone would take that program for a running server."""
    with Postgres(tmp_path) as postgres, Process(["sleep", "600"]) as other:
        pid_file = tmp_path / "data" / "postmaster.pid"
        _, *rest = pid_file.read_text().splitlines()
        postgres.kill()
        wait_until(lambda: other.pids, 30)
        pid_file.write_text("\n".join([str(other.pids[0]), *rest]))

        postgres.start()

        assert postgres.sql("SELECT 1") == "1"


def test_an_interrupted_creation_of_the_data_starts_over(tmp_path: Path) -> None:
    (tmp_path / "unfinished" / "base").mkdir(parents=True)
    (tmp_path / "password").write_text("of the interrupted start")

    with Postgres(tmp_path) as postgres:
        assert postgres.sql("SELECT 1") == "1"


def test_variables_for_other_databases_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS"):
        monkeypatch.setenv(variable, "1")

    with Postgres(tmp_path) as postgres:
        assert (
            postgres.sql("SELECT current_user || '@' || current_database()") == "postgres@service"
        )


def test_development_data_is_synced_to_disk_and_test_data_is_not(tmp_path: Path) -> None:
    with Postgres(tmp_path, durable=True) as postgres:
        assert postgres.sql("SHOW fsync") == "on"
    with Postgres(tmp_path) as postgres:
        assert postgres.sql("SHOW fsync") == "off"
