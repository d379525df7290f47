"""The store of items in a real PostgreSQL, with the schema of the migrations."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]
import pytest
import uvicorn
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from reference_service.dependencies.postgres import (
    Postgres,
    PostgresSettings,
)
from reference_service.items import Cursor, Item, ItemCreate
from reference_service.items.postgres import PostgresItems
from reference_service.resilience import Timeout

from ..processes import eventually
from .client import client_of, items_app
from .contract import StoreContract, walk

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


def in_use(engine: AsyncEngine) -> int:
    """Return how many connections of the pool are in use."""
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout()


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


class TestPostgresItems(StoreContract):
    """The store is this module's fixture."""


async def test_cancelled_update_returns_its_connection_and_ends_in_the_server(
    engine: AsyncEngine, store: PostgresItems, environment: dict[str, str]
) -> None:
    item = await store.create(ItemCreate(name="Lamp"))
    async with locked(environment["DATABASE_URL"], item) as (one_waits, none_waits):
        change = asyncio.create_task(store.update(item.id, {"name": "Torch"}))
        await eventually(one_waits)
        change.cancel()
        with pytest.raises(asyncio.CancelledError):
            await change
        assert in_use(engine) == 0
        await eventually(none_waits)
    assert await store.get(item.id) == item


async def test_timed_out_request_returns_its_connection(
    engine: AsyncEngine, store: PostgresItems, environment: dict[str, str]
) -> None:
    item = await store.create(ItemCreate(name="Lamp"))
    app = Timeout(items_app(store), seconds=0.2)
    async with locked(environment["DATABASE_URL"], item) as (_, none_waits), client_of(app) as api:
        responses = await asyncio.gather(
            *(api.patch(f"/items/{item.id}", json={"name": "Torch"}) for _ in range(30))
        )
        assert {response.status_code for response in responses} == {504}
        assert in_use(engine) == 0
        await eventually(none_waits)
    assert await store.get(item.id) == item


async def test_request_of_a_disconnected_client_returns_its_connection(
    engine: AsyncEngine, store: PostgresItems, environment: dict[str, str]
) -> None:
    item = await store.create(ItemCreate(name="Lamp"))
    async with serving(store) as port:
        async with locked(environment["DATABASE_URL"], item) as (one_waits, _):
            _, client = await asyncio.open_connection("127.0.0.1", port)
            client.write(f"DELETE /items/{item.id} HTTP/1.1\r\nhost: service\r\n\r\n".encode())
            await eventually(one_waits)
            client.transport.abort()

        async def returned() -> bool:
            return in_use(engine) == 0

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
    engine: AsyncEngine, store: PostgresItems, connected: bool
) -> None:
    item = await store.create(ItemCreate(name="Lamp"))
    for turns in range(MAX_TURNS):  # of the event loop before the cancellation
        await (store.get(item.id) if connected else engine.dispose())
        change = asyncio.create_task(store.update(item.id, {"name": str(turns)}))
        for _ in range(turns):
            await asyncio.sleep(0)
        change.cancel()
        await asyncio.wait([change])
        assert in_use(engine) == 0
        if not change.cancelled():  # the update was faster, so every point before was tried
            assert change.result() == await store.get(item.id)
            return
    pytest.fail("the update never ended before it was cancelled")


async def test_database_error_leaves_no_row_and_no_transaction(
    engine: AsyncEngine, store: PostgresItems
) -> None:
    for _ in range(20):  # more than the pool's connections
        with pytest.raises(DBAPIError, match="0x00"):
            await store.create(ItemCreate.model_construct(name="NUL \0"))
    assert in_use(engine) == 0
    assert await store.page(10) == []
    assert await store.create(ItemCreate(name="Lamp"))


async def test_connection_that_was_read_on_still_writes_in_transactions(
    engine: AsyncEngine, store: PostgresItems
) -> None:
    await store.get(uuid4())
    async with engine.connect() as connection:  # the connection that was read on
        await connection.execute(text("INSERT INTO items (name) VALUES ('half')"))
    assert await store.page(10) == []


async def test_items_of_the_same_time_have_an_order(
    engine: AsyncEngine, store: PostgresItems
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO items (name) SELECT generate_series(1, 7)"))
        await connection.execute(text("SET enable_indexscan = off"))  # sorted
    everything = await store.page(10)
    assert len({item.created_at for item in everything}) == 1
    assert [item.id for item in everything] == sorted((i.id for i in everything), reverse=True)
    assert await walk(store, 2) == everything


async def test_deep_page_is_found_with_the_index(
    engine: AsyncEngine, store: PostgresItems, environment: dict[str, str]
) -> None:
    rows = """
        INSERT INTO items (name, created_at)
        SELECT n, timestamptz '2026-01-01' + n * interval '1 s' FROM generate_series(1, 10000) n
    """
    async with engine.begin() as connection:
        await connection.execute(text(rows))
    observer = await asyncpg.connect(environment["DATABASE_URL"])
    await observer.execute("ANALYZE items")
    [row] = await observer.fetch("SELECT * FROM items WHERE name = '1000'")
    executed: list[tuple[str, Any]] = []

    def record(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        executed.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", record)
    page = await store.page(10, Cursor(row["created_at"], row["id"]))
    assert [item.name for item in page] == [str(n) for n in range(999, 989, -1)]

    [(statement, parameters)] = executed
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
    plan = json.loads(await observer.fetchval(explain, *parameters))[0]["Plan"]
    await observer.close()
    [scan] = plan["Plans"]
    assert (scan["Node Type"], scan["Scan Direction"]) == ("Index Scan", "Backward")
    assert scan["Index Name"] == "items_created_at_id_idx"
    assert scan["Actual Rows"] == 10
    assert "Filter" not in scan
