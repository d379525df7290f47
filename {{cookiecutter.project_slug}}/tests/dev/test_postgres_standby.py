"""The embedded standby: it follows a real primary, can lag, and can be promoted."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from dev.lock import try_lock
from dev.postgres import Postgres
from dev.process import StartError, wait_until
from dev.standby import Standby, freeze

from .starter import run_starter, wait_for_line

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


async def test_the_service_can_read_but_not_write(standby: Standby) -> None:
    connection = await asyncpg.connect(standby.url)
    assert await connection.fetchval("SELECT count(*) FROM counted") == 1
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connection.execute("DELETE FROM counted")
    await connection.close()


async def test_the_service_can_read_the_replication_status(standby: Standby) -> None:
    connection = await asyncpg.connect(standby.url)
    status = await connection.fetchval("SELECT status FROM pg_stat_wal_receiver")
    await connection.close()
    assert status == "streaming"


def test_its_own_settings_override_those_of_the_primary(standby: Standby) -> None:
    assert standby.sql("SHOW max_connections; SHOW work_mem") == "40\n1MB"
    assert standby.sql("SHOW listen_addresses") == "127.0.0.1"


def test_it_restarts_on_the_same_port_and_follows_however_it_ended(
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


def test_it_serves_without_its_primary_and_follows_again(
    primary: Postgres, standby: Standby
) -> None:
    primary.stop()
    standby.restart()
    assert standby.sql("SELECT count(*) FROM counted") == "1"

    primary.start()
    count(primary)
    standby.until_replayed()


def test_a_frozen_wal_sender_stops_only_the_standby(primary: Postgres, standby: Standby) -> None:
    standby.until_streaming()
    shown = standby.sql("SELECT n FROM counted")
    freeze(primary, "walsender")
    try:
        n = count(primary)
        standby.sql("SELECT pg_sleep(0.3)")
        assert standby.sql("SELECT n FROM counted") == shown
    finally:
        primary.resume()
    standby.until_replayed()
    assert standby.sql("SELECT n FROM counted") == n


def test_freezing_a_missing_process_is_an_error(standby: Standby) -> None:
    with pytest.raises(RuntimeError, match="standby has no walsender"):
        freeze(standby, "walsender")


def test_it_stays_a_primary_after_its_promotion(primary: Postgres, tmp_path: Path) -> None:
    with Standby(tmp_path, primary) as standby:
        standby.promote()
        count(standby)
        standby.restart()
        count(standby)


def test_its_first_start_needs_a_running_primary(tmp_path: Path) -> None:
    with Postgres(tmp_path / "primary") as primary:
        pass
    with pytest.raises(StartError, match=f"standby cannot create its data.*{tmp_path}"):
        Standby(tmp_path / "standby", primary).start()


def test_an_interrupted_copy_starts_over(primary: Postgres, tmp_path: Path) -> None:
    (tmp_path / "unfinished" / "base").mkdir(parents=True)
    with Standby(tmp_path, primary) as standby:
        standby.until_streaming()


def test_variables_for_other_databases_are_ignored(
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
def test_no_process_is_left_when_the_starter_was_killed(state: str, tmp_path: Path) -> None:
    folders = {"postgres": tmp_path / "primary", "standby": tmp_path / "standby"}

    def are_free() -> bool:
        logs = [(folder / f"{name}.log").open("ab") for name, folder in folders.items()]
        free = [try_lock(log) for log in logs]
        for log in logs:
            log.close()
        return all(free)

    with run_starter(STARTER, *map(str, folders.values()), state) as starter:
        wait_for_line(starter, "started")
        assert not are_free()

        starter.kill()

    wait_until(are_free, 30)
