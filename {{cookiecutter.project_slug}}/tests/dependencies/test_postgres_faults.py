"""Failures of PostgreSQL. `tests/service` has the ones that matter most."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import httpx
import pytest

from dev.postgres import Postgres

from ..conftest import StartService
from ..domain import CHANGE, CHECK, INSERT_ROW, PATH, TABLE
from ..processes import Service, eventually, wait_until
from .postgres_server import migrate, setting

DETECTION = 5 + 3 * 0.5 + 0.3
"""Maximum seconds until an idle service detects a failure: interval, timeouts, back-off."""
TRAFFIC_DETECTION = 1 + 3 * 0.5 + 0.3
"""The same after a request has failed, or has waited for longer than a check may take."""
RECOVERY = 2.0
SLACK = 1.5
"""Seconds for a busy machine and for polling."""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A database that the tests break. Each test repairs it."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        migrate(server)
        yield server


@pytest.fixture
def service(start_service: StartService, postgres: Postgres) -> Service:
    """The service with that database, ready."""
    running = start_service(DATABASE_URL=postgres.url)
    running.until_ready()
    return running


@pytest.fixture
def fast(start_service: StartService, postgres: Postgres) -> Service:
    """The same with frequent checks, for tests that do not measure the detection time."""
    running = start_service(DATABASE_URL=postgres.url, HEALTH_CHECK_INTERVAL=1)
    running.until_ready()
    return running


def probe_times(service: Service, count: int) -> list[float]:
    """Return the durations of many probes, four at a time, the shortest first."""

    def send(number: int) -> float:
        started = time.perf_counter()
        client.get("/health/live" if number % 2 else "/health/ready")
        return time.perf_counter() - started

    with httpx.Client(base_url=service.url) as client, ThreadPoolExecutor(4) as pool:
        return sorted(pool.map(send, range(count)))


def test_stopped_database_turns_ready_503_and_recovers_in_time(
    service: Service, postgres: Postgres
) -> None:
    postgres.stop()
    try:
        assert service.until_ready(503) <= DETECTION + SLACK
        assert service.probe("live") == 200
    finally:
        postgres.start()
    assert service.until_ready() <= RECOVERY + SLACK


def test_hung_database_does_not_delay_shutdown(service: Service, postgres: Postgres) -> None:
    service.api.get(PATH)
    postgres.pause()
    try:
        service.signal(signal.SIGTERM)
        assert service.ends_with(within=10) == 0
    finally:
        postgres.resume()


def test_many_probes_of_a_hung_database_start_one_attempt(
    fast: Service, postgres: Postgres
) -> None:
    fast.api.get(PATH)
    tasks = fast.tasks()
    postgres.pause()
    try:
        fast.until_ready(504)
        times = probe_times(fast, 1000)
        assert fast.tasks() <= tasks + 10  # one attempt per check, and tasks that are ending
        connections = Path(f"/proc/{fast.process.pids[0]}/fd")
        if connections.exists():
            assert len(list(connections.iterdir())) < 40
    finally:
        postgres.resume()
    fast.until_ready()
    assert times[989] < 0.4  # an attempt takes 0.5 s: no probe waits for one
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'service'"
    wait_until(lambda: int(postgres.sql(query)) <= 4)  # two checks', the pool's, one that closes


def test_read_only_database_is_not_ready(fast: Service, postgres: Postgres) -> None:
    with setting(postgres, "default_transaction_read_only", "on"):
        fast.until_ready(503)
        fast.until_error("postgres", "ReadOnly")
    fast.until_ready()


def test_standby_is_not_ready_for_a_service_that_writes(
    start_service: StartService, tmp_path: Path
) -> None:
    with Postgres(tmp_path / "standby") as postgres:
        migrate(postgres)
        service = start_service(DATABASE_URL=postgres.url, HEALTH_CHECK_INTERVAL=1)
        reader = start_service(
            DATABASE_URL=postgres.url,
            HEALTH_CHECK_INTERVAL=1,
            DATABASE_ROLE="standby",
            HEALTH_POSTGRES_REPLICATION_IMPACT="warn",  # there is no primary
        )
        service.until_ready()
        assert reader.probe("ready") == 503
        postgres.stop()
        (postgres.folder / "data" / "standby.signal").touch()
        postgres.start()
        service.until_ready(503)
        service.until_error("postgres", "InRecovery")
        reader.until_ready()


def test_changed_password_fails_at_once_and_recovers_when_it_is_restored(
    fast: Service, postgres: Postgres
) -> None:
    password = postgres.url.split(":")[2].split("@")[0]
    postgres.sql("ALTER ROLE service PASSWORD 'other'")
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service'")
    try:
        fast.until_ready(503)
        fast.until_error("postgres", "InvalidPasswordError")
        assert [fast.api.get(PATH).status_code for _ in range(3)] == [503] * 3
        assert fast.check("postgres.pool")["observedValue"]["in_use"] == 0
        assert password not in fast.management.get("/health").text
        assert password not in fast.log.read_text()
    finally:
        postgres.sql(f"ALTER ROLE service PASSWORD '{password}'")
    fast.until_ready()


def test_schema_that_is_behind_is_not_ready_but_one_that_is_ahead_is(
    fast: Service, postgres: Postgres
) -> None:
    migrate(postgres, "base")
    try:
        fast.until_ready(503)
        fast.until_error("postgres.schema", "SchemaBehind")
    finally:
        migrate(postgres)
    fast.until_ready()
    newest = fast.check("postgres.schema")["observedValue"]["needed"]
    postgres.sql("UPDATE alembic_version SET version_num = 'from_the_future'")
    try:
        wait_until(
            lambda: fast.check("postgres.schema")["observedValue"]["current"] == "from_the_future"
        )
        assert fast.probe("ready") == 200
    finally:
        postgres.sql(f"UPDATE alembic_version SET version_num = '{newest}'")


def test_failed_request_brings_the_next_check_of_the_schema_forward(
    start_service: StartService, postgres: Postgres
) -> None:
    service = start_service(DATABASE_URL=postgres.url, HEALTH_CHECK_INTERVAL=60)
    service.until_ready()
    newest = postgres.sql("DELETE FROM alembic_version RETURNING version_num")
    try:
        assert service.api.get("/faults/raise/ValueError").status_code == 500
        service.until_error("postgres.schema", "SchemaBehind")
    finally:
        postgres.sql(f"INSERT INTO alembic_version VALUES ('{newest}')")
    service.until_ready()


def test_unreadable_version_of_the_schema_warns_with_the_missing_grant(
    fast: Service, postgres: Postgres
) -> None:
    postgres.sql("ALTER TABLE alembic_version OWNER TO postgres")
    try:
        wait_until(lambda: fast.check("postgres.schema")["status"] == "warn")
        output = fast.check("postgres.schema")["output"]
        assert output.endswith("run: GRANT SELECT ON alembic_version TO service")
        assert fast.probe("ready") == 200
        postgres.sql("GRANT SELECT ON alembic_version TO service")
        wait_until(lambda: fast.check("postgres.schema")["status"] == "pass")
    finally:
        postgres.sql("ALTER TABLE alembic_version OWNER TO service")


@contextlib.asynccontextmanager
async def locked_table(
    postgres: Postgres, statement: str = f"LOCK TABLE {TABLE}"
) -> AsyncIterator[None]:
    """Lock the domain's table: every request that needs it waits and keeps its connection.

    statement: locks something else instead.
    """
    connection = await asyncpg.connect(postgres.admin_url)
    try:
        async with connection.transaction():
            await connection.execute(statement)
            yield
    finally:
        await connection.close()


async def test_saturated_pool_warns_and_then_fails_but_the_database_passes(
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
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:

        async def until_ready(code: int, status: str) -> float:
            async def has_status() -> bool:
                response = await client.get("/health/ready")
                return response.status_code == code and response.json()["status"] == status

            return await eventually(has_status, within=20)

        row_id = await asyncio.to_thread(postgres.sql, INSERT_ROW)
        lock_row = f"SELECT FROM {TABLE} WHERE id = '{row_id}' FOR UPDATE"
        async with locked_table(postgres, lock_row):
            change = f"{PATH}/{row_id}"
            requests = [asyncio.create_task(client.patch(change, json=CHANGE)) for _ in range(6)]
            await until_ready(200, "warn")
            assert await until_ready(503, "fail") >= 3
            assert service.check("postgres")["status"] == "pass"
            assert service.check(CHECK)["status"] == "pass"
            service.until_error("postgres.pool", "PoolExhausted")
            assert service.check("postgres.pool")["observedValue"]["max"] == 3
        assert [(await request).status_code for request in requests] == [200] * 6
        assert await until_ready(200, "pass") <= RECOVERY + SLACK


async def test_lock_that_fills_the_pool_turns_ready_503_before_the_pool_counts_as_exhausted(
    start_service: StartService, postgres: Postgres
) -> None:
    service = start_service(
        DATABASE_URL=postgres.url, DATABASE_POOL_SIZE=2, SERVICE_REQUEST_TIMEOUT=2
    )
    service.until_ready()
    connections = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'service'"
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:

        async def send_continuously() -> None:
            while True:
                await client.get(PATH)

        async def is_ready() -> bool:
            most.append(int(await asyncio.to_thread(postgres.sql, connections)))
            return (await client.get("/health/ready")).status_code == 200

        async def is_not_ready() -> bool:
            return not await is_ready()

        most: list[int] = []
        clients = [asyncio.create_task(send_continuously()) for _ in range(8)]
        async with locked_table(postgres):
            assert await eventually(is_not_ready) <= 0.5 + TRAFFIC_DETECTION + SLACK
            assert service.check(CHECK)["output"].endswith("LockNotAvailableError")
            assert service.check("postgres.pool")["status"] == "warn"
        assert await eventually(is_ready) <= RECOVERY + SLACK
        for task in clients:
            task.cancel()
    assert max(most) <= 2 + 2 + 1  # the pool's, the checks', and one beyond the pool


async def test_burst_that_clears_leaves_the_service_ready(
    start_service: StartService, postgres: Postgres
) -> None:
    service = start_service(
        DATABASE_URL=postgres.url, DATABASE_POOL_SIZE=2, DATABASE_MAX_OVERFLOW=0
    )
    service.until_ready()
    ready: set[int] = set()
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:

        async def burst() -> set[int]:
            return {(await client.get(PATH)).status_code for _ in range(100)}

        bursts = [asyncio.create_task(burst()) for _ in range(20)]

        async def are_done() -> bool:
            ready.add((await client.get("/health/ready")).status_code)
            return all(task.done() for task in bursts)

        await eventually(are_done, within=120)
        codes = set().union(*(task.result() for task in bursts))
    assert (codes, ready) == ({200}, {200})


async def test_lost_connection_during_a_read_is_replaced(
    service: Service, postgres: Postgres
) -> None:
    terminate_waiting = """
        SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE usename = 'service' AND wait_event_type = 'Lock'
        """

    async def is_terminated() -> bool:
        return await asyncio.to_thread(postgres.sql, terminate_waiting) != "0"

    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        async with locked_table(postgres):
            request = asyncio.create_task(client.get(PATH))
            await eventually(is_terminated)
        assert (await request).status_code == 200


async def test_timed_out_request_returns_its_connection(
    start_service: StartService, postgres: Postgres
) -> None:
    service = start_service(
        DATABASE_URL=postgres.url,
        DATABASE_POOL_SIZE=1,
        DATABASE_MAX_OVERFLOW=0,
        SERVICE_REQUEST_TIMEOUT=0.5,
    )
    service.until_ready()
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        async with locked_table(postgres):
            responses = await asyncio.gather(*(client.get(PATH) for _ in range(5)))
        assert {response.status_code for response in responses} == {504}

        async def succeeds() -> bool:
            return (await client.get(PATH)).status_code == 200

        await eventually(succeeds, within=10)
    # The last result of the check may still be that of the saturated pool.
    wait_until(lambda: service.check("postgres.pool")["observedValue"]["in_use"] == 0)
