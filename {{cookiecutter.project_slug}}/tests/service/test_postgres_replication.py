"""A read replica that falls behind in every way, and what the probes of its readers say."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from dev.postgres import Postgres
from dev.standby import Standby

from ..conftest import StartService
from ..processes import Service, wait_until

MAX_LAG = 1.0
RECEIVER_TIMEOUT = 12.0
LOOKS = 2 * 1.0 + 0.3
"""Seconds until a lag is seen to be one, and is seen three times."""
RECOVERY = 2.0
SLACK = 1.5
"""Seconds for a busy machine and the polling."""


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("primary")) as server:
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        subprocess.run(command, env={server.variable: server.url}, check=True)
        yield server


@pytest.fixture(scope="module")
def standby(primary: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standby]:
    """A standby that the tests here break; each mends what it broke."""
    settings = {"wal_receiver_timeout": f"{RECEIVER_TIMEOUT:.0f}s"}
    with Standby(tmp_path_factory.mktemp("standby"), primary, settings=settings) as server:
        server.until_streaming()
        yield server


@pytest.fixture
def reader(start_service: StartService, standby: Standby) -> Service:
    """The service on the standby, ready."""
    running = start_service(
        DATABASE_URL=standby.url, DATABASE_ROLE="standby", DATABASE_MAX_LAG=MAX_LAG
    )
    running.until_ready()
    return running


def write(primary: Postgres) -> str:
    """Create an item behind the services' back, and return its id."""
    return primary.sql("INSERT INTO items (name) VALUES ('lamp') RETURNING id")


def replication(service: Service) -> dict[str, object]:
    """Return what the check saw last."""
    seen = service.check("postgres.replication")["observedValue"]
    assert isinstance(seen, dict)
    return seen


def error(service: Service) -> object:
    return service.check("postgres.replication")["error"]


def probe_time(service: Service) -> float:
    started = time.monotonic()
    service.probe("ready")
    return time.monotonic() - started


def watch(service: Service, seconds: float) -> Iterator[None]:
    """Yield again and again, with the service ready each time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert service.probe("ready") == 200, service.management.get("/health").text
        yield
        time.sleep(0.02)


def test_only_a_service_that_reads_from_a_standby_checks_the_replication(
    start_service: StartService, primary: Postgres, reader: Service
) -> None:
    writer = start_service(DATABASE_URL=primary.url)
    writer.until_ready()
    names = [set(s.management.get("/health").json()["checks"]) for s in (writer, reader)]
    assert names[1] - names[0] == {"postgres.replication"}
    assert names[0] < names[1]


def test_a_reader_reads_and_refuses_to_write_with_a_reason(
    reader: Service, primary: Postgres, standby: Standby
) -> None:
    item_id = write(primary)
    standby.until_replayed()
    assert reader.api.get(f"/items/{item_id}").json()["name"] == "lamp"
    assert item_id in reader.api.get("/items").text

    refused = reader.api.post("/items", json={"name": "torch"})
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    for _ in watch(reader, 1.5):
        pass


def test_an_idle_standby_is_ready_through_all_the_silence_that_is_usual(reader: Service) -> None:
    longest = 0.0
    for _ in watch(reader, RECEIVER_TIMEOUT):
        longest = max(longest, float(str(replication(reader)["silence"])))
    assert longest > RECEIVER_TIMEOUT / 2 - 1.5


async def test_a_standby_that_replays_a_flood_in_time_is_ready(
    reader: Service, primary: Postgres
) -> None:
    connection = await asyncpg.connect(primary.admin_url)
    insert = "INSERT INTO items (name) SELECT md5(n::text) FROM generate_series(1, 500) AS n"
    for _ in watch(reader, 5):
        await connection.execute(insert)
    await connection.close()


async def test_half_a_record_that_cannot_be_replayed_yet_is_no_lag(
    reader: Service, primary: Postgres, standby: Standby
) -> None:
    """What an open transaction writes is sent page by page, in the middle of a record too."""
    insert = "INSERT INTO items (name) SELECT md5(n::text) FROM generate_series(1, 999) AS n"
    rest = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn() FROM pg_sleep(0.5)"
    connection = await asyncpg.connect(primary.admin_url)
    async with connection.transaction():
        for _ in range(20):
            await connection.execute(insert)
            if standby.sql(rest) == "t":
                break
        else:
            pytest.fail("records always ended where pages did")
        for _ in watch(reader, MAX_LAG + LOOKS + SLACK):
            pass
    await connection.close()


def test_a_paused_replay_fails_however_little_there_is_to_replay(
    reader: Service, primary: Postgres, standby: Standby
) -> None:
    standby.sql("SELECT pg_wal_replay_pause()")
    try:
        write(primary)
        assert reader.until_ready(503) <= MAX_LAG + LOOKS + SLACK
        assert error(reader) == "ReplicationLag"
        assert 0 < replication(reader)["distance"] < 100_000  # type: ignore[operator]
        assert reader.check("postgres")["status"] == "pass"
        assert reader.probe("live") == 200
    finally:
        standby.sql("SELECT pg_wal_replay_resume()")
    assert reader.until_ready() <= RECOVERY + SLACK


def test_a_service_that_starts_on_a_standby_of_unknown_age_waits_until_it_has_caught_up(
    start_service: StartService, primary: Postgres, standby: Standby
) -> None:
    standby.sql("SELECT pg_wal_replay_pause()")
    try:
        write(primary)
        reader = start_service(DATABASE_URL=standby.url, DATABASE_ROLE="standby")
        wait_until(lambda: error(reader) == "ReplicationLag")
        assert replication(reader)["lag"] is None
        assert (reader.probe("startup"), reader.probe("live")) == (503, 200)
    finally:
        standby.sql("SELECT pg_wal_replay_resume()")
    assert reader.until_ready() <= RECOVERY + SLACK


def test_a_primary_that_falls_silent_fails_although_all_that_came_is_replayed(
    reader: Service, primary: Postgres, standby: Standby
) -> None:
    write(primary)
    standby.until_replayed()
    primary.freeze("walsender")
    try:
        unseen = write(primary)
        assert reader.until_ready(503) <= RECEIVER_TIMEOUT / 2 + MAX_LAG + LOOKS + SLACK
        assert error(reader) == "PrimaryUnresponsive"
        seen = replication(reader)
        assert (seen["streaming"], seen["distance"], seen["lag"]) == (True, 0, 0)
        assert reader.api.get(f"/items/{unseen}").status_code == 404
        assert reader.check("postgres")["status"] == "pass"
        assert sorted(probe_time(reader) for _ in range(100))[90] < 0.05
    finally:
        primary.resume()
    assert reader.until_ready() <= RECOVERY + SLACK


def test_a_primary_that_is_gone_fails_while_the_standby_still_answers(
    reader: Service, primary: Postgres
) -> None:
    item_id = write(primary)
    primary.stop()
    try:
        assert reader.until_ready(503) <= MAX_LAG + LOOKS + SLACK
        assert error(reader) == "NotStreaming"
        assert reader.check("postgres")["status"] == "pass"
        assert reader.api.get(f"/items/{item_id}").status_code == 200
        assert reader.probe("live") == 200
    finally:
        primary.start()
    assert reader.until_ready() <= RECOVERY + SLACK


def test_a_primary_that_is_back_in_time_takes_no_reader_out(
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


def test_a_missing_grant_fails_at_once_and_is_named(
    reader: Service, primary: Postgres, standby: Standby
) -> None:
    primary.sql("REVOKE pg_read_all_stats FROM service")
    try:
        standby.until_replayed()
        assert reader.until_ready(503) <= 1 + SLACK
        told = reader.check("postgres.replication")
        assert (told["error"], told["consecutiveFailures"]) == ("MissingGrant", 1)
        assert told["output"].endswith("GRANT pg_read_all_stats TO service")
    finally:
        primary.sql("GRANT pg_read_all_stats TO service")
    assert reader.until_ready() <= RECOVERY + SLACK


def test_a_standby_that_would_not_notice_a_silent_primary_is_not_trusted(
    reader: Service, standby: Standby
) -> None:
    usual = standby.settings["wal_receiver_timeout"]
    standby.settings["wal_receiver_timeout"] = "0"
    standby.restart()
    try:
        reader.until_ready(503)
        wait_until(lambda: error(reader) == "WalReceiverTimeoutDisabled")
    finally:
        standby.settings["wal_receiver_timeout"] = usual
        standby.restart()
    reader.until_ready()


def test_a_standby_that_becomes_a_primary_is_none_any_more(
    start_service: StartService, primary: Postgres, tmp_path: Path
) -> None:
    with Standby(tmp_path / "standby", primary) as standby:
        standby.until_streaming()
        reader = start_service(DATABASE_URL=standby.url, DATABASE_ROLE="standby")
        reader.until_ready()
        standby.promote()
        assert reader.until_ready(503) <= LOOKS + SLACK
        names = "postgres", "postgres.replication"
        wait_until(lambda: {reader.check(name)["error"] for name in names} == {"NotInRecovery"})


def test_a_refused_write_is_answered_503_and_has_the_server_looked_at(
    start_service: StartService, primary: Postgres
) -> None:
    writer = start_service(DATABASE_URL=primary.url, HEALTH_CHECK_INTERVAL=60)
    writer.until_ready()
    primary.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    primary.sql("SELECT pg_reload_conf()")
    try:
        wait_until(lambda: primary.sql("SHOW default_transaction_read_only") == "on")
        refused = writer.api.post("/items", json={"name": "torch"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert writer.until_ready(503) <= 1 + 0.3 + SLACK
    finally:
        primary.sql("ALTER SYSTEM RESET default_transaction_read_only")
        primary.sql("SELECT pg_reload_conf()")
    assert writer.until_ready() <= RECOVERY + SLACK
    assert writer.api.post("/items", json={"name": "torch"}).status_code == 201
