"""A cancelled request holds neither a connection nor a statement in the server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg  # type: ignore[import-untyped]
import pytest
import uvicorn
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from reference_service.dependencies.postgres import (
    Postgres,
    PostgresSettings,
)
from reference_service.items import Item, ItemCreate
from reference_service.items.postgres import PostgresItems
from reference_service.resilience import Timeout

from ..items.client import client_of, items_app
from ..processes import eventually

Condition = Callable[[], Awaitable[bool]]

MAX_TURNS = 10_000
"""More turns of the event loop than an update needs."""


@pytest.fixture
async def postgres(environment: dict[str, str]) -> AsyncIterator[Postgres]:
    """The service's client, with an empty table."""
    settings = PostgresSettings.model_validate({"url": environment["DATABASE_URL"]})
    postgres = Postgres(settings)
    async with postgres.engine.begin() as connection:
        await connection.execute(text("DELETE FROM items"))
    yield postgres
    await postgres.close()


@pytest.fixture
def engine(postgres: Postgres) -> AsyncEngine:
    return postgres.engine


@pytest.fixture
def store(postgres: Postgres) -> PostgresItems:
    return PostgresItems(postgres)


@asynccontextmanager
async def locked(url: str, item: Item) -> AsyncIterator[tuple[Condition, Condition]]:
    """Lock an item. Yield two conditions: one statement waits for it, and none does."""
    holder, observer = await asyncpg.connect(url), await asyncpg.connect(url)
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()
    """

    async def one_waits() -> bool:
        return bool(await observer.fetchval(query) == 1)

    async def none_waits() -> bool:
        return bool(await observer.fetchval(query) == 0)

    try:
        async with holder.transaction():
            await holder.execute("SELECT 1 FROM items WHERE id = $1 FOR UPDATE", item.id)
            yield one_waits, none_waits
    finally:
        await holder.close()
        await observer.close()


async def test_cancelled_update_returns_its_connection_and_ends_in_the_server(
    postgres: Postgres, store: PostgresItems, environment: dict[str, str]
) -> None:
    item = await store.create(ItemCreate(name="Lamp"))
    async with locked(environment["DATABASE_URL"], item) as (one_waits, none_waits):
        change = asyncio.create_task(store.update(item.id, {"name": "Torch"}))
        await eventually(one_waits)
        change.cancel()
        with pytest.raises(asyncio.CancelledError):
            await change
        assert postgres.pool_usage.in_use == 0
        await eventually(none_waits)
    assert await store.get(item.id) == item


async def test_timed_out_request_returns_its_connection(
    postgres: Postgres, store: PostgresItems, environment: dict[str, str]
) -> None:
    item = await store.create(ItemCreate(name="Lamp"))
    app = Timeout(items_app(store), seconds=0.2)
    async with locked(environment["DATABASE_URL"], item) as (_, none_waits), client_of(app) as api:
        responses = await asyncio.gather(
            *(api.patch(f"/items/{item.id}", json={"name": "Torch"}) for _ in range(30))
        )
        assert {response.status_code for response in responses} == {504}
        assert postgres.pool_usage.in_use == 0
        await eventually(none_waits)
    assert await store.get(item.id) == item


async def test_request_of_a_disconnected_client_returns_its_connection(
    postgres: Postgres, store: PostgresItems, environment: dict[str, str]
) -> None:
    item = await store.create(ItemCreate(name="Lamp"))
    async with serving(store) as port:
        async with locked(environment["DATABASE_URL"], item) as (one_waits, _):
            _, client = await asyncio.open_connection("127.0.0.1", port)
            client.write(f"DELETE /items/{item.id} HTTP/1.1\r\nhost: service\r\n\r\n".encode())
            await eventually(one_waits)
            client.transport.abort()

        async def returned() -> bool:
            return postgres.pool_usage.in_use == 0

        await eventually(returned)
    assert await store.page(10) == []


@asynccontextmanager
async def serving(store: PostgresItems) -> AsyncIterator[int]:
    """Serve the API on loopback, and yield the port."""
    config = uvicorn.Config(items_app(store), port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    try:
        await eventually(started)
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await task


@pytest.mark.parametrize("connected", [True, False])
async def test_cancellation_at_any_point_loses_no_connection(
    postgres: Postgres, engine: AsyncEngine, store: PostgresItems, connected: bool
) -> None:
    item = await store.create(ItemCreate(name="Lamp"))
    for turns in range(MAX_TURNS):  # of the event loop before the cancellation
        await (store.get(item.id) if connected else engine.dispose())
        change = asyncio.create_task(store.update(item.id, {"name": str(turns)}))
        for _ in range(turns):
            await asyncio.sleep(0)
        change.cancel()
        await asyncio.wait([change])
        assert postgres.pool_usage.in_use == 0
        if not change.cancelled():  # the update was faster, so every point before was tried
            assert change.result() == await store.get(item.id)
            return
    pytest.fail("the update never ended before it was cancelled")
