"""Requests that need the database are answered 503 at once while its checks fail."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from dev.postgres import Postgres

from ..conftest import StartService
from ..domain import NEW, PATH
from ..processes import Service, eventually, wait_until
from .postgres_server import migrate, setting

PATIENCE = 60.0
"""Seconds after which a request that is not answered fails the test."""
REJECTED = "A dependency is unavailable, so nothing was done; try again."
ABANDONED = "A dependency is unavailable; try again."
PATIENT = {
    "DATABASE_POOL_SIZE": 2,
    "DATABASE_MAX_OVERFLOW": 1,
    "DATABASE_POOL_TIMEOUT": 2 * PATIENCE,
    "DATABASE_CONNECT_TIMEOUT": 2 * PATIENCE,
    "SERVICE_REQUEST_TIMEOUT": 2 * PATIENCE,
}
"""Settings with which only a failing check can answer a request that waits."""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A database that the tests break. Each test repairs it."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        migrate(server)
        yield server


@pytest.fixture
def service(start_service: StartService, postgres: Postgres) -> Service:
    """The service with that database, ready. Its requests wait for longer than a test."""
    running = start_service(DATABASE_URL=postgres.url, **PATIENT)
    running.until_ready()
    return running


@contextlib.contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


def read(service: Service) -> httpx.Response:
    return service.api.get(PATH, timeout=PATIENCE)


def write(service: Service) -> httpx.Response:
    return service.api.post(PATH, json=NEW, timeout=PATIENCE)


def is_rejected(response: httpx.Response) -> bool:
    """Whether a request got 503 without having touched the database."""
    return response.status_code == 503 and response.json()["detail"] == REJECTED


def in_use(service: Service) -> object:
    return service.check("postgres.pool")["observedValue"]["in_use"]


@pytest.mark.parametrize("impact", ["fail", "warn"])
def test_frozen_database_rejects_requests_whatever_its_impact(
    start_service: StartService, postgres: Postgres, impact: str
) -> None:
    service = start_service(DATABASE_URL=postgres.url, HEALTH_POSTGRES_IMPACT=impact, **PATIENT)
    service.until_ready()
    with frozen(postgres):
        wait_until(lambda: is_rejected(read(service)))
        wait_until(lambda: is_rejected(write(service)))
        for response in [send(service) for send in (read, write) * 5]:
            assert is_rejected(response)
            assert response.headers["retry-after"] == "1"
            assert response.headers["content-type"] == "application/problem+json"
        wait_until(lambda: in_use(service) == 0)
        assert service.api.get("/faults/sleep/0").status_code == 200
    wait_until(lambda: read(service).status_code == 200)
    wait_until(lambda: write(service).status_code == 201)


@contextlib.asynccontextmanager
async def client_of(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=service.url, limits=limits, timeout=PATIENCE) as client:
        yield client


async def test_requests_that_wait_are_answered_when_the_check_fails(
    service: Service, postgres: Postgres
) -> None:
    """Some wait for an answer, some for a new connection, and most for the pool."""
    async with client_of(service) as client:
        for _ in range(2):
            await asyncio.gather(*(client.get(PATH) for _ in range(2)))  # two connections are open
        with frozen(postgres):
            reads = [asyncio.create_task(client.get(PATH)) for _ in range(20)]
            writes = [asyncio.create_task(client.post(PATH, json=NEW)) for _ in range(20)]
            responses = await asyncio.gather(*reads, *writes)
            assert {each.status_code for each in responses} == {503}
            assert {each.headers["retry-after"] for each in responses} == {"1"}
            details = [each.json()["detail"] for each in responses]
            assert set(details) <= {ABANDONED, REJECTED}
            assert details.count(ABANDONED) >= 3  # a request that comes later is rejected

            async def all_returned() -> bool:
                return await asyncio.to_thread(in_use, service) == 0

            await eventually(all_returned)
    await asyncio.to_thread(wait_until, lambda: read(service).status_code == 200)


def test_commits_that_hang_reject_writes_and_not_reads(
    service: Service, postgres: Postgres
) -> None:
    with setting(postgres, "synchronous_standby_names", "lost"):
        wait_until(lambda: is_rejected(write(service)))
        for _ in range(10):
            assert read(service).status_code == 200
            assert is_rejected(write(service))
    wait_until(lambda: write(service).status_code == 201)


def test_read_only_database_rejects_writes_and_not_reads(
    service: Service, postgres: Postgres
) -> None:
    with setting(postgres, "default_transaction_read_only", "on"):
        wait_until(lambda: is_rejected(write(service)))
        service.until_error("postgres", "ReadOnly")
        for _ in range(10):
            assert read(service).status_code == 200
    wait_until(lambda: write(service).status_code == 201)


def test_requests_go_on_if_only_new_connections_are_refused(
    start_service: StartService, postgres: Postgres
) -> None:
    service = start_service(DATABASE_URL=postgres.url, HEALTH_CHECK_INTERVAL=0.2)
    service.until_ready()
    assert write(service).status_code == 201
    postgres.sql("ALTER ROLE service CONNECTION LIMIT 0")
    try:
        postgres.sql(  # the connections of the checks
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'service' AND query SIMILAR TO '%(pg_|alembic)%'"
        )
        service.until_error("postgres", "TooManyConnectionsError")
        service.until_ready(503)
        for _ in range(10):
            assert read(service).status_code == 200
            assert write(service).status_code == 201
    finally:
        postgres.sql("ALTER ROLE service CONNECTION LIMIT -1")
    service.until_ready()


def test_rejected_requests_make_the_check_of_requests_warn(
    service: Service, postgres: Postgres
) -> None:
    with frozen(postgres):
        wait_until(lambda: is_rejected(read(service)))

        def warns() -> bool:
            return is_rejected(read(service)) and bool(service.check("requests")["error"])

        wait_until(warns)
