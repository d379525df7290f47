"""Failures of a standby's replication, and what the probes of its readers report."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from dev.postgres import Postgres
from dev.standby import Standby, freeze

from ..conftest import StartService
from ..domain import INSERT_ROW, INSERT_ROWS, NEW, PATH
from ..processes import Service, wait_until

MAX_LAG = 1.0
RECEIVER_TIMEOUT = 12.0
ATTEMPTS = 2 * 1.0 + 0.3
"""Seconds from the first attempt that can measure a lag to the third one that fails."""
RECOVERY = 2.0
SLACK = 1.5
"""Seconds for a busy machine and for polling."""


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("primary")) as server:
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        subprocess.run(command, env={server.variable: server.url}, check=True, timeout=60)
        yield server


@pytest.fixture(scope="module")
def standby(primary: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standby]:
    """A standby that the tests break. Each test repairs it."""
    settings = {"wal_receiver_timeout": f"{RECEIVER_TIMEOUT:.0f}s"}
    with Standby(tmp_path_factory.mktemp("standby"), primary, settings=settings) as server:
        server.until_streaming()
        yield server


@pytest.fixture
def reader(start_service: StartService, standby: Standby) -> Service:
    """The service with the standby, ready."""
    running = start_service(
        DATABASE_URL=standby.url, DATABASE_ROLE="standby", DATABASE_MAX_LAG=MAX_LAG
    )
    running.until_ready()
    return running


def write(primary: Postgres) -> str:
    """Insert a row without a service, and return its id."""
    return primary.sql(INSERT_ROW)


def replication(service: Service) -> dict[str, object]:
    """Return the data of the check's latest result."""
    data = service.check("postgres.replication")["observedValue"]
    assert isinstance(data, dict)
    return data


def error(service: Service) -> object:
    return service.check("postgres.replication")["error"]


def probe_time(service: Service) -> float:
    started = time.monotonic()
    service.probe("ready")
    return time.monotonic() - started


def watch(service: Service, seconds: float) -> Iterator[None]:
    """Yield repeatedly while the service stays ready."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert service.probe("ready") == 200, service.management.get("/health").text
        yield
        time.sleep(0.02)


def test_only_a_service_with_a_standby_checks_the_replication(
    start_service: StartService, primary: Postgres, reader: Service
) -> None:
    writer = start_service(DATABASE_URL=primary.url)
    writer.until_ready()
    names = [set(s.management.get("/health").json()["checks"]) for s in (writer, reader)]
    assert names[1] - names[0] == {"postgres.replication"}
    assert names[0] - names[1] == {"postgres.write"}


def test_reader_reads_and_rejects_writes_with_a_problem_response(
    reader: Service, primary: Postgres, standby: Standby
) -> None:
    row_id = write(primary)
    standby.until_replayed()
    assert reader.api.get(f"{PATH}/{row_id}").json()["id"] == row_id
    assert row_id in reader.api.get(PATH).text

    response = reader.api.post(PATH, json=NEW)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    for _ in watch(reader, 1.5):
        pass


def test_idle_standby_is_ready_during_normal_silence(reader: Service) -> None:
    longest = 0.0
    for _ in watch(reader, RECEIVER_TIMEOUT):
        longest = max(longest, float(str(replication(reader)["silence"])))
    assert longest > RECEIVER_TIMEOUT / 2 - 1.5


async def test_standby_that_replays_many_writes_in_time_is_ready(
    reader: Service, primary: Postgres
) -> None:
    connection = await asyncpg.connect(primary.admin_url)
    for _ in watch(reader, 5):
        await connection.execute(INSERT_ROWS, 500)
    await connection.close()


async def test_half_a_record_that_cannot_be_replayed_yet_is_not_a_lag(
    reader: Service, primary: Postgres, standby: Standby
) -> None:
    """An open transaction is sent page by page, and a page can end within a record."""
    has_rest = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn() FROM pg_sleep(0.5)"
    connection = await asyncpg.connect(primary.admin_url)
    async with connection.transaction():
        for _ in range(20):
            await connection.execute(INSERT_ROWS, 999)
            if standby.sql(has_rest) == "t":
                break
        else:
            pytest.fail("every record ended at the end of a page")
        for _ in watch(reader, MAX_LAG + ATTEMPTS + SLACK):
            pass
    await connection.close()


def test_paused_replay_fails_even_if_little_is_missing(
    reader: Service, primary: Postgres, standby: Standby
) -> None:
    standby.sql("SELECT pg_wal_replay_pause()")
    try:
        write(primary)
        assert reader.until_ready(503) <= MAX_LAG + ATTEMPTS + SLACK
        assert error(reader) == "ReplicationLag"
        assert 0 < replication(reader)["distance"] < 100_000  # type: ignore[operator]
        assert reader.check("postgres")["status"] == "pass"
        assert reader.probe("live") == 200
    finally:
        standby.sql("SELECT pg_wal_replay_resume()")
    assert reader.until_ready() <= RECOVERY + SLACK


def test_service_that_starts_on_a_lagging_standby_waits_until_it_has_caught_up(
    start_service: StartService, primary: Postgres, standby: Standby
) -> None:
    standby.sql("SELECT pg_wal_replay_pause()")
    try:
        write(primary)
        reader = start_service(DATABASE_URL=standby.url, DATABASE_ROLE="standby")
        wait_until(lambda: error(reader) == "ReplicationLag")
        assert replication(reader)["lag"] is None
        wait_until(lambda: reader.probe("startup") == 200)
        assert (reader.probe("ready"), reader.probe("live")) == (503, 200)
    finally:
        standby.sql("SELECT pg_wal_replay_resume()")
    assert reader.until_ready() <= RECOVERY + SLACK


def test_silent_primary_fails_although_everything_received_is_replayed(
    reader: Service, primary: Postgres, standby: Standby
) -> None:
    write(primary)
    standby.until_replayed()
    freeze(primary, "walsender")
    try:
        missing = write(primary)
        assert reader.until_ready(503) <= RECEIVER_TIMEOUT / 2 + MAX_LAG + ATTEMPTS + SLACK
        assert error(reader) == "PrimaryUnresponsive"
        data = replication(reader)
        assert (data["streaming"], data["distance"], data["lag"]) == (True, 0, 0)
        assert reader.api.get(f"{PATH}/{missing}").status_code == 404
        assert reader.check("postgres")["status"] == "pass"
        assert sorted(probe_time(reader) for _ in range(100))[90] < 0.05
    finally:
        primary.resume()
    assert reader.until_ready() <= RECOVERY + SLACK


def test_stopped_primary_fails_while_the_standby_still_responds(
    reader: Service, primary: Postgres
) -> None:
    row_id = write(primary)
    primary.stop()
    try:
        assert reader.until_ready(503) <= MAX_LAG + ATTEMPTS + SLACK
        assert error(reader) == "NotStreaming"
        assert reader.check("postgres")["status"] == "pass"
        assert reader.api.get(f"{PATH}/{row_id}").status_code == 200
        assert reader.probe("live") == 200
    finally:
        primary.start()
    assert reader.until_ready() <= RECOVERY + SLACK


def test_primary_that_restarts_in_time_leaves_readers_ready(
    start_service: StartService, primary: Postgres, standby: Standby
) -> None:
    reader = start_service(DATABASE_URL=standby.url, DATABASE_ROLE="standby")
    reader.until_ready()
    primary.stop()
    try:
        streaming = [replication(reader)["streaming"] for _ in watch(reader, 2.5)]
        assert streaming[-1] is False
    finally:
        primary.start()
    for _ in watch(reader, 3):
        pass
    assert replication(reader)["streaming"] is True


def test_missing_grant_warns_and_is_named(
    reader: Service, primary: Postgres, standby: Standby
) -> None:
    primary.sql("REVOKE pg_read_all_stats FROM service")
    try:
        standby.until_replayed()
        wait_until(lambda: reader.check("postgres.replication")["status"] == "warn")
        output = reader.check("postgres.replication")["output"]
        assert output.endswith("GRANT pg_read_all_stats TO service")
        assert reader.probe("ready") == 200
    finally:
        primary.sql("GRANT pg_read_all_stats TO service")
    wait_until(lambda: reader.check("postgres.replication")["status"] == "pass")


def test_standby_without_receiver_timeout_fails(reader: Service, standby: Standby) -> None:
    previous = standby.settings["wal_receiver_timeout"]
    standby.settings["wal_receiver_timeout"] = "0"
    standby.restart()
    try:
        reader.until_ready(503)
        wait_until(lambda: error(reader) == "WalReceiverTimeoutDisabled")
    finally:
        standby.settings["wal_receiver_timeout"] = previous
        standby.restart()
    reader.until_ready()


def test_promoted_standby_is_not_ready_for_readers(
    start_service: StartService, primary: Postgres, tmp_path: Path
) -> None:
    with Standby(tmp_path / "standby", primary) as standby:
        standby.until_streaming()
        reader = start_service(DATABASE_URL=standby.url, DATABASE_ROLE="standby")
        reader.until_ready()
        standby.promote()
        assert reader.until_ready(503) <= ATTEMPTS + SLACK
        names = "postgres", "postgres.replication"
        wait_until(lambda: {reader.check(name)["error"] for name in names} == {"NotInRecovery"})


def test_rejected_write_returns_503_and_triggers_a_check(
    start_service: StartService, primary: Postgres
) -> None:
    writer = start_service(DATABASE_URL=primary.url, HEALTH_CHECK_INTERVAL=60)
    writer.until_ready()
    primary.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    primary.sql("SELECT pg_reload_conf()")
    try:
        wait_until(lambda: primary.sql("SHOW default_transaction_read_only") == "on")
        response = writer.api.post(PATH, json=NEW)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert writer.until_ready(503) <= 1 + 0.3 + SLACK
    finally:
        primary.sql("ALTER SYSTEM RESET default_transaction_read_only")
        primary.sql("SELECT pg_reload_conf()")
    assert writer.until_ready() <= RECOVERY + SLACK
    assert writer.api.post(PATH, json=NEW).status_code == 201
