"""The embedded standby: it follows a real primary, can be left behind by it, and leaves nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from dev.lock import try_lock
from dev.postgres import Postgres
from dev.process import StartError, wait_until
from dev.standby import Standby

STARTER = """
import sys, time
from pathlib import Path
from dev.postgres import Postgres
from dev.standby import Standby

primary = Postgres(Path(sys.argv[1]))
standby = Standby(Path(sys.argv[2]), primary)
primary.start()
standby.start()
if sys.argv[3] == "paused":
    standby.pause()
print("started", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    settings = {"max_connections": "40"}
    with Postgres(tmp_path_factory.mktemp("primary"), settings=settings) as server:
        server.sql("CREATE TABLE counted AS SELECT 0 AS n; GRANT ALL ON counted TO service")
        yield server


@pytest.fixture(scope="module")
def standby(primary: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standby]:
    folder = tmp_path_factory.mktemp("standby") / "a folder's \\ name"
    with Standby(folder, primary, settings={"work_mem": "1MB"}) as server:
        server.until_streaming()
        yield server


def count(primary: Postgres) -> str:
    return primary.sql("UPDATE counted SET n = n + 1 RETURNING n")


def test_it_follows_its_primary(primary: Postgres, standby: Standby) -> None:
    n = count(primary)
    standby.until_replayed()
    assert standby.sql("SELECT n FROM counted") == n


async def test_the_service_reads_there_as_on_the_primary_and_cannot_write(standby: Standby) -> None:
    connection = await asyncpg.connect(standby.url)
    assert await connection.fetchval("SELECT count(*) FROM counted") == 1
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connection.execute("DELETE FROM counted")
    await connection.close()


async def test_the_service_may_read_how_the_replication_goes(standby: Standby) -> None:
    connection = await asyncpg.connect(standby.url)
    status = await connection.fetchval("SELECT status FROM pg_stat_wal_receiver")
    await connection.close()
    assert status == "streaming"


def test_settings_are_the_primarys_and_its_own(standby: Standby) -> None:
    assert standby.sql("SHOW max_connections; SHOW work_mem") == "40\n1MB"
    assert standby.sql("SHOW listen_addresses") == "127.0.0.1"


def test_it_comes_back_on_the_same_port_and_follows_however_it_went(
    primary: Postgres, standby: Standby
) -> None:
    url = standby.url

    def follows() -> None:
        n = count(primary)
        standby.until_replayed()
        assert (standby.url, standby.sql("SELECT n FROM counted")) == (url, n)

    standby.restart()
    follows()

    standby.kill()
    standby.start()
    follows()

    os.kill(standby.process.pids[0], signal.SIGKILL)
    wait_until(lambda: standby.process.status is not None, 30)
    standby.start()
    follows()

    standby.pause()
    standby.stop()
    standby.start()
    follows()


def test_it_answers_without_its_primary_and_follows_it_again(
    primary: Postgres, standby: Standby
) -> None:
    primary.stop()
    standby.restart()
    assert standby.sql("SELECT count(*) FROM counted") == "1"

    primary.start()
    count(primary)
    standby.until_replayed()


def test_a_frozen_wal_sender_keeps_only_the_standby_waiting(
    primary: Postgres, standby: Standby
) -> None:
    standby.until_streaming()
    shown = standby.sql("SELECT n FROM counted")
    primary.freeze("walsender")
    try:
        n = count(primary)
        standby.sql("SELECT pg_sleep(0.3)")
        assert standby.sql("SELECT n FROM counted") == shown
    finally:
        primary.resume()
    standby.until_replayed()
    assert standby.sql("SELECT n FROM counted") == n


def test_what_is_not_there_cannot_be_frozen(standby: Standby) -> None:
    with pytest.raises(RuntimeError, match="standby has no walsender"):
        standby.freeze("walsender")


def test_it_can_be_made_a_primary_for_good(primary: Postgres, tmp_path: Path) -> None:
    with Standby(tmp_path, primary) as standby:
        standby.promote()
        count(standby)
        standby.restart()
        count(standby)


def test_it_is_not_to_be_had_without_a_primary_to_copy(tmp_path: Path) -> None:
    with Postgres(tmp_path / "primary") as primary:
        pass
    with pytest.raises(StartError, match=f"standby cannot create its data.*{tmp_path}"):
        Standby(tmp_path / "standby", primary).start()


def test_copying_starts_over_when_it_was_interrupted(primary: Postgres, tmp_path: Path) -> None:
    (tmp_path / "unfinished" / "base").mkdir(parents=True)
    with Standby(tmp_path, primary) as standby:
        standby.until_streaming()


def test_what_is_meant_for_other_databases_does_not_reach_it(
    primary: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("PGSSLMODE", "require")

    with Standby(tmp_path, primary) as standby:
        standby.until_streaming()


def test_its_password_is_in_no_command(standby: Standby) -> None:
    password = (standby.folder / "password").read_text()
    assert password in standby.url
    assert password not in " ".join(standby.command())


@pytest.mark.parametrize("state", ["running", "paused"])
def test_nothing_is_left_when_its_starter_was_killed(state: str, tmp_path: Path) -> None:
    folders = {"postgres": tmp_path / "primary", "standby": tmp_path / "standby"}

    def are_free() -> bool:
        logs = [(folder / f"{name}.log").open("ab") for name, folder in folders.items()]
        free = [try_lock(log) for log in logs]
        for log in logs:
            log.close()
        return all(free)

    command = [sys.executable, "-c", STARTER, *map(str, folders.values()), state]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == b"started\n"
        assert not are_free()

        starter.kill()

    wait_until(are_free, 30)
