"""PostgreSQL broken by hand, and what the probes say meanwhile."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import httpx
import pytest

from dev.postgres import Postgres

from ..conftest import StartService
from ..processes import Service, wait_until

DETECTION = 5 + 3 * 0.5 + 0.3
"""Seconds in which an idle service notices: an interval, three timeouts, the back-off."""
RECOVERY = 2.0
SLACK = 1.5
"""Seconds for a busy machine and the polling."""


def migrate(postgres: Postgres, revision: str = "head") -> None:
    direction = "downgrade" if revision == "base" else "upgrade"
    command = [sys.executable, "-m", "alembic", direction, revision]
    subprocess.run(command, env={"DATABASE_URL": postgres.url}, check=True)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A database that the tests here break; each mends what it broke."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        migrate(server)
        yield server


@pytest.fixture
def service(start_service: StartService, postgres: Postgres) -> Service:
    """The service on that database, ready."""
    running = start_service(DATABASE_URL=postgres.url)
    running.until_ready()
    return running


@pytest.fixture
def eager(start_service: StartService, postgres: Postgres) -> Service:
    """The same, with checks every second, for tests that are not about the bounds."""
    running = start_service(DATABASE_URL=postgres.url, HEALTH_CHECK_INTERVAL=1)
    running.until_ready()
    return running


def probe_times(service: Service, count: int) -> list[float]:
    """Return the seconds of many probes, four at a time, in order of size."""

    def ask(number: int) -> float:
        started = time.perf_counter()
        client.get("/health/live" if number % 2 else "/health/ready")
        return time.perf_counter() - started

    with httpx.Client(base_url=service.url) as client, ThreadPoolExecutor(4) as pool:
        return sorted(pool.map(ask, range(count)))


def test_a_frozen_database_is_answered_504_and_back_within_the_bounds(
    service: Service, postgres: Postgres
) -> None:
    postgres.pause()
    try:
        assert service.until_ready(504) <= DETECTION + SLACK
        assert service.probe("live") == 200
        assert service.probe("startup") == 200
        assert service.check("postgres")["error"] == "TimeoutError"
    finally:
        postgres.resume()
    assert service.until_ready() <= RECOVERY + SLACK


def test_a_stopped_database_is_answered_503_and_back_within_the_bounds(
    service: Service, postgres: Postgres
) -> None:
    postgres.stop()
    try:
        assert service.until_ready(503) <= DETECTION + SLACK
        assert service.probe("live") == 200
    finally:
        postgres.start()
    assert service.until_ready() <= RECOVERY + SLACK


def test_traffic_that_fails_is_noticed_within_a_second_and_the_attempts(
    start_service: StartService, postgres: Postgres
) -> None:
    service = start_service(DATABASE_URL=postgres.url, HEALTH_CHECK_INTERVAL=60)
    service.until_ready()
    postgres.stop()
    try:
        refused = service.api.get("/items")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert service.until_ready(503) <= 1 + 3 * 0.5 + 0.3 + SLACK
    finally:
        postgres.start()
    assert service.until_ready() <= RECOVERY + SLACK
    wait_until(lambda: service.api.get("/items").status_code == 200)


def test_a_hung_database_does_not_hold_up_the_end(service: Service, postgres: Postgres) -> None:
    service.api.get("/items")
    postgres.pause()
    try:
        service.signal(signal.SIGTERM)
        assert service.ends_with(within=10) == 0
    finally:
        postgres.resume()


def test_a_storm_of_probes_on_a_hung_database_costs_it_one_attempt(
    eager: Service, postgres: Postgres
) -> None:
    eager.api.get("/items")
    tasks = eager.tasks()
    postgres.pause()
    try:
        eager.until_ready(504)
        times = probe_times(eager, 1000)
        assert eager.tasks() <= tasks + 6  # an attempt a check, and what winds down
        connections = Path(f"/proc/{eager.process.pids[0]}/fd")
        if connections.exists():
            assert len(list(connections.iterdir())) < 40
    finally:
        postgres.resume()
    eager.until_ready()
    assert times[989] < 0.05  # a busy machine may hold up one in a hundred
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'service'"
    wait_until(lambda: int(postgres.sql(query)) <= 4)  # two checks' own, the pool's, a closing one


def test_a_read_only_database_is_not_ready(eager: Service, postgres: Postgres) -> None:
    postgres.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    postgres.sql("SELECT pg_reload_conf()")
    try:
        eager.until_ready(503)
        assert eager.check("postgres")["error"] == "ReadOnly"
    finally:
        postgres.sql("ALTER SYSTEM RESET default_transaction_read_only")
        postgres.sql("SELECT pg_reload_conf()")
    eager.until_ready()


def test_a_standby_is_not_ready_for_a_service_that_writes(
    start_service: StartService, tmp_path: Path
) -> None:
    with Postgres(tmp_path / "standby") as postgres:
        migrate(postgres)
        service = start_service(DATABASE_URL=postgres.url, HEALTH_CHECK_INTERVAL=1)
        reader = start_service(
            DATABASE_URL=postgres.url,
            HEALTH_CHECK_INTERVAL=1,
            DATABASE_ROLE="standby",
            HEALTH_POSTGRES_REPLICATION_IMPACT="warn",  # there is no primary to follow
        )
        service.until_ready()
        assert reader.probe("ready") == 503
        postgres.stop()
        (postgres.folder / "data" / "standby.signal").touch()
        postgres.start()
        service.until_ready(503)
        wait_until(lambda: service.check("postgres")["error"] == "InRecovery")
        reader.until_ready()


def test_a_rotated_password_fails_at_once_and_heals_when_rotated_back(
    eager: Service, postgres: Postgres
) -> None:
    password = postgres.url.split(":")[2].split("@")[0]
    postgres.sql("ALTER ROLE service PASSWORD 'other'")
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service'")
    try:
        eager.until_ready(503)
        wait_until(lambda: eager.check("postgres")["error"] == "InvalidPasswordError")
        assert [eager.api.get("/items").status_code for _ in range(3)] == [503] * 3
        assert eager.check("postgres.pool")["observedValue"]["in_use"] == 0
        assert password not in eager.management.get("/health").text
        assert password not in eager.log.read_text()
    finally:
        postgres.sql(f"ALTER ROLE service PASSWORD '{password}'")
    eager.until_ready()


def test_a_database_that_comes_late_is_waited_for_with_the_listener_open(
    start_service: StartService, postgres: Postgres
) -> None:
    postgres.stop()
    try:
        service = start_service(DATABASE_URL=postgres.url)
        probes = {name: service.probe(name) for name in ("live", "startup", "ready")}
        assert probes == {"live": 200, "startup": 503, "ready": 503}
    finally:
        postgres.start()
    assert service.until_ready() <= RECOVERY + SLACK
    assert service.probe("startup") == 200


def test_a_schema_that_is_behind_is_not_ready_and_one_that_is_ahead_is(
    eager: Service, postgres: Postgres
) -> None:
    migrate(postgres, "base")
    try:
        eager.until_ready(503)
        assert eager.check("postgres.schema")["error"] == "SchemaBehind"
    finally:
        migrate(postgres)
    eager.until_ready()
    newest = eager.check("postgres.schema")["observedValue"]["needed"]
    postgres.sql("UPDATE alembic_version SET version_num = 'from_the_future'")
    try:
        wait_until(
            lambda: eager.check("postgres.schema")["observedValue"]["current"] == "from_the_future"
        )
        assert eager.probe("ready") == 200
    finally:
        postgres.sql(f"UPDATE alembic_version SET version_num = '{newest}'")


async def hold_the_table(postgres: Postgres, release: asyncio.Event) -> None:
    """Lock the items until released: every request that needs them keeps its connection."""
    connection = await asyncpg.connect(postgres.admin_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE items")
            await release.wait()
    finally:
        await connection.close()


async def test_a_full_pool_warns_a_leak_fails_and_neither_looks_like_a_dead_database(
    start_service: StartService, postgres: Postgres
) -> None:
    service = start_service(
        DATABASE_URL=postgres.url,
        DATABASE_POOL_SIZE=2,
        DATABASE_MAX_OVERFLOW=1,
        DATABASE_POOL_TIMEOUT=30,
        SERVICE_REQUEST_TIMEOUT=30,
    )
    service.until_ready()
    release = asyncio.Event()
    holder = asyncio.create_task(hold_the_table(postgres, release))
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        requests = [asyncio.create_task(client.get("/items")) for _ in range(6)]

        async def answers(code: int, status: str) -> float:
            started = time.monotonic()
            while True:
                answer = await client.get("/health/ready")
                if answer.status_code == code and answer.json()["status"] == status:
                    return time.monotonic() - started
                assert time.monotonic() - started < 20
                await asyncio.sleep(0.05)

        await answers(200, "warn")
        assert await answers(503, "fail") >= 3
        assert service.check("postgres")["status"] == "pass"
        assert service.check("postgres.pool")["error"] == "PoolExhausted"
        assert service.check("postgres.pool")["observedValue"]["max"] == 3
        release.set()
        assert [(await request).status_code for request in requests] == [200] * 6
        assert await answers(200, "pass") <= RECOVERY + SLACK
    await holder


async def test_a_burst_that_clears_stays_ready(
    start_service: StartService, postgres: Postgres
) -> None:
    service = start_service(
        DATABASE_URL=postgres.url, DATABASE_POOL_SIZE=2, DATABASE_MAX_OVERFLOW=0
    )
    service.until_ready()
    seen: set[int] = set()
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:

        async def burst() -> set[int]:
            return {(await client.get("/items")).status_code for _ in range(100)}

        bursts = [asyncio.create_task(burst()) for _ in range(20)]
        while not all(task.done() for task in bursts):
            seen.add((await client.get("/health/ready")).status_code)
            await asyncio.sleep(0.02)
        codes = set().union(*(task.result() for task in bursts))
    assert (codes, seen) == ({200}, {200})


async def test_a_connection_that_is_lost_under_a_request_is_answered_503(
    service: Service, postgres: Postgres
) -> None:
    release = asyncio.Event()
    holder = asyncio.create_task(hold_the_table(postgres, release))
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        request = asyncio.create_task(client.get("/items"))
        end_waiting = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE usename = 'service' AND wait_event_type = 'Lock'"
        )
        while postgres.sql(end_waiting) == "0":
            await asyncio.sleep(0.05)
        answer = await request
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        release.set()
        await holder
        assert (await client.get("/items")).status_code == 200


async def test_a_timed_out_request_gives_its_connection_back(
    start_service: StartService, postgres: Postgres
) -> None:
    service = start_service(
        DATABASE_URL=postgres.url,
        DATABASE_POOL_SIZE=1,
        DATABASE_MAX_OVERFLOW=0,
        SERVICE_REQUEST_TIMEOUT=0.5,
    )
    service.until_ready()
    release = asyncio.Event()
    holder = asyncio.create_task(hold_the_table(postgres, release))
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        await asyncio.sleep(0.2)
        answers = await asyncio.gather(*(client.get("/items") for _ in range(5)))
        assert {answer.status_code for answer in answers} == {504}
        release.set()
        await holder
        started = time.monotonic()
        while (await client.get("/items")).status_code != 200:
            assert time.monotonic() - started < 10
    # The check may have looked last while they were lent: it looks again.
    wait_until(lambda: service.check("postgres.pool")["observedValue"]["in_use"] == 0)
