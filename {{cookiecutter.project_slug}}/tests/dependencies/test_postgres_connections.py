"""Connections that must be replaced, and statements that are run again, as clients see it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg  # type: ignore[import-untyped]
import httpx
import pytest

from dev.postgres import Postgres

from ..conftest import StartService
from ..domain import INSERT_ROWS, NEW, PATH, TABLE
from ..processes import Service, eventually
from .postgres_server import migrate, setting
from .tcp_proxy import TcpProxy
from .test_postgres_core_work import RECOVERY


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A database that the tests break. Each test repairs it."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        migrate(server)
        yield server


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Postgres]:
    """Another server with the same password."""
    with Postgres(tmp_path_factory.mktemp("other")) as server:
        migrate(server)
        server.sql(f"ALTER ROLE service PASSWORD '{password(postgres)}'")
        yield server


def password(postgres: Postgres) -> str:
    return postgres.url.split(":")[2].split("@")[0]


def url(postgres: Postgres, *ports: int) -> str:
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"postgresql://service:{password(postgres)}@{hosts}/service"


@asynccontextmanager
async def client_of(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
        yield client


async def get(client: httpx.AsyncClient) -> int:
    return (await client.get(PATH)).status_code


async def post(client: httpx.AsyncClient) -> int:
    return (await client.post(PATH, json=NEW)).status_code


async def ready(client: httpx.AsyncClient) -> int:
    return (await client.get("/health/ready")).status_code


async def fill_pool(client: httpx.AsyncClient, postgres: Postgres, size: int) -> None:
    """Make the pool open its connections."""
    locker = await asyncpg.connect(postgres.admin_url)
    observer = await asyncpg.connect(postgres.admin_url)
    try:
        async with locker.transaction():
            await locker.execute(f"LOCK TABLE {TABLE}")
            requests = [asyncio.create_task(get(client)) for _ in range(size)]
            query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

            async def all_wait() -> bool:
                return bool(await observer.fetchval(query) >= size)

            await eventually(all_wait)
        assert set(await asyncio.gather(*requests)) == {200}
    finally:
        await locker.close()
        await observer.close()


async def test_writes_reach_the_new_primary_behind_the_same_name(
    start_service: StartService, postgres: Postgres, other: Postgres
) -> None:
    proxy = TcpProxy(postgres.port)
    async with proxy.serve():
        service = start_service(DATABASE_URL=url(postgres, proxy.port), DATABASE_POOL_SIZE=5)
        async with client_of(service) as client:
            await eventually(lambda: is_ready(client))
            await fill_pool(client, postgres, 5)
            with setting(postgres, "default_transaction_read_only", "on"):
                proxy.target = other.port
                codes = Counter([await post(client) for _ in range(50)])
                assert codes == {201: 50}
                assert await eventually(lambda: is_ready(client)) <= RECOVERY
                assert service.check("postgres")["status"] == "pass"


async def is_ready(client: httpx.AsyncClient) -> bool:
    return await ready(client) == 200


async def test_silenced_connections_cost_one_short_wait_and_no_error(
    start_service: StartService, postgres: Postgres
) -> None:
    proxy = TcpProxy(postgres.port)
    async with proxy.serve():
        service = start_service(DATABASE_URL=url(postgres, proxy.port), DATABASE_POOL_SIZE=5)
        async with client_of(service) as client:
            await eventually(lambda: is_ready(client))
            await fill_pool(client, postgres, 5)
            proxy.silence()
            times, codes = [], Counter[int]()
            for _ in range(20):
                started = time.monotonic()
                codes[await get(client)] += 1
                times.append(time.monotonic() - started)
            assert codes == {200: 20}
            assert max(times) < 3
            assert sorted(times)[-2] < 0.5
            assert await ready(client) == 200


async def test_second_host_serves_while_the_first_one_is_frozen(
    start_service: StartService, postgres: Postgres, other: Postgres
) -> None:
    postgres.pause()
    try:
        service = start_service(DATABASE_URL=url(postgres, postgres.port, other.port))
        async with client_of(service) as client:
            assert await eventually(lambda: is_ready(client)) < 5
            assert (await get(client), await post(client)) == (200, 201)
    finally:
        postgres.resume()


async def test_read_only_host_is_skipped(
    start_service: StartService, postgres: Postgres, other: Postgres
) -> None:
    with setting(postgres, "default_transaction_read_only", "on"):
        service = start_service(DATABASE_URL=url(postgres, postgres.port, other.port))
        async with client_of(service) as client:
            assert await eventually(lambda: is_ready(client)) < 5
            assert await post(client) == 201


async def test_sessions_that_the_server_ends_when_idle_cost_no_request(
    start_service: StartService, postgres: Postgres
) -> None:
    postgres.sql("ALTER ROLE service SET idle_session_timeout = '1s'")
    try:
        service = start_service(DATABASE_URL=postgres.url)
        async with client_of(service) as client:
            await eventually(lambda: is_ready(client))
            codes, probes = [], set()
            for _ in range(4):
                await asyncio.sleep(1.1)
                codes += [await get(client), await post(client)]
                probes.add(await ready(client))
            assert (codes, probes) == ([200, 201] * 4, {200})
    finally:
        postgres.sql("ALTER ROLE service RESET idle_session_timeout")


async def test_changed_column_type_costs_no_request(
    start_service: StartService, postgres: Postgres
) -> None:
    service = start_service(DATABASE_URL=postgres.url, DATABASE_POOL_SIZE=5)
    async with client_of(service) as client:
        await eventually(lambda: is_ready(client))
        await fill_pool(client, postgres, 5)
        await asyncio.gather(*(post(client) for _ in range(20)))
        postgres.sql(f"ALTER TABLE {TABLE} ALTER COLUMN name TYPE varchar(500)")
        codes = await asyncio.gather(
            *(get(client) for _ in range(20)), *(post(client) for _ in range(20))
        )
        assert Counter(codes) == {200: 20, 201: 20}
    postgres.sql(f"ALTER TABLE {TABLE} ALTER COLUMN name TYPE text")


async def test_statement_timeout_is_answered_504(
    start_service: StartService, postgres: Postgres
) -> None:
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(INSERT_ROWS, 20_000)
    await connection.close()
    service = start_service(DATABASE_URL=postgres.url)
    async with client_of(service) as client:
        await eventually(lambda: is_ready(client))
        postgres.sql("ALTER ROLE service SET statement_timeout = '1ms'")
        postgres.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service'"
        )
        try:
            codes = {(await client.get(PATH, params={"limit": 100})).status_code for _ in range(20)}
            assert 504 in codes
            assert codes <= {200, 503, 504}
        finally:
            postgres.sql("ALTER ROLE service RESET statement_timeout")
            postgres.sql(f"DELETE FROM {TABLE}")


async def test_locked_table_turns_ready_red_and_back(
    start_service: StartService, postgres: Postgres
) -> None:
    service = start_service(DATABASE_URL=postgres.url, SERVICE_REQUEST_TIMEOUT=2)
    async with client_of(service) as client:
        await eventually(lambda: is_ready(client))
        locker = await asyncpg.connect(postgres.admin_url)
        async with locker.transaction():
            await locker.execute(f"LOCK TABLE {TABLE}")
            started = time.monotonic()
            assert await get(client) == 504

            async def is_red() -> bool:
                return await ready(client) in {503, 504}

            await eventually(is_red)
            assert time.monotonic() - started <= 2 + 1 + 3 * 0.5 + 0.3 + 1.5
        await locker.close()
        assert await eventually(lambda: is_ready(client)) <= 3
