"""Items in a real PostgreSQL, with the schema that the migrations make."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
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

from .client import client_of, items_app
from .contract import StoreContract, walk

Condition = Callable[[], Awaitable[bool]]


@pytest.fixture
async def engine(environment: dict[str, str]) -> AsyncIterator[AsyncEngine]:
    """The service's own engine, over a table without rows."""
    settings = PostgresSettings.model_validate({"url": environment["DATABASE_URL"]})
    postgres = Postgres(settings)
    async with postgres.engine.begin() as connection:
        await connection.execute(text("DELETE FROM items"))
    yield postgres.engine
    await postgres.close()


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresItems:
    return PostgresItems(engine)


def held(engine: AsyncEngine) -> int:
    """Return how many connections are out of the pool."""
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout()


async def until(condition: Condition) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def locked(url: str, item: Item) -> AsyncIterator[tuple[Condition, Condition]]:
    """Keep others from changing an item; give the conditions that one waits, and that none does."""
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


async def test_a_cancelled_change_gives_its_connection_back_and_ends_in_the_server(
    engine: AsyncEngine, store: PostgresItems, environment: dict[str, str]
) -> None:
    item = await store.create(ItemCreate(name="Lamp"))
    async with locked(environment["DATABASE_URL"], item) as (one_waits, none_waits):
        change = asyncio.create_task(store.update(item.id, {"name": "Torch"}))
        await until(one_waits)
        change.cancel()
        with pytest.raises(asyncio.CancelledError):
            await change
        assert held(engine) == 0
        await until(none_waits)
    assert await store.get(item.id) == item


async def test_a_request_that_timed_out_gives_its_connection_back(
    engine: AsyncEngine, store: PostgresItems, environment: dict[str, str]
) -> None:
    item = await store.create(ItemCreate(name="Lamp"))
    app = Timeout(items_app(store), seconds=0.2)
    async with locked(environment["DATABASE_URL"], item) as (_, none_waits), client_of(app) as api:
        answers = await asyncio.gather(
            *(api.patch(f"/items/{item.id}", json={"name": "Torch"}) for _ in range(30))
        )
        assert {answer.status_code for answer in answers} == {504}
        assert held(engine) == 0
        await until(none_waits)
    assert await store.get(item.id) == item


async def test_a_request_whose_client_has_gone_gives_its_connection_back(
    engine: AsyncEngine, store: PostgresItems, environment: dict[str, str]
) -> None:
    item = await store.create(ItemCreate(name="Lamp"))
    async with serving(store) as port:
        async with locked(environment["DATABASE_URL"], item) as (one_waits, _):
            _, client = await asyncio.open_connection("127.0.0.1", port)
            client.write(f"DELETE /items/{item.id} HTTP/1.1\r\nhost: service\r\n\r\n".encode())
            await until(one_waits)
            client.transport.abort()

        async def returned() -> bool:
            return held(engine) == 0

        await until(returned)
    assert await store.page(10) == []


@asynccontextmanager
async def serving(store: PostgresItems) -> AsyncIterator[int]:
    """Serve the API on a port of loopback."""
    config = uvicorn.Config(items_app(store), port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await until(started)
    try:
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await task


@pytest.mark.parametrize("connected", [True, False])
async def test_no_moment_of_cancellation_loses_a_connection(
    engine: AsyncEngine, store: PostgresItems, connected: bool
) -> None:
    item = await store.create(ItemCreate(name="Lamp"))
    for turns in count():  # of the event loop, until a change is over before it is cancelled
        await (store.get(item.id) if connected else engine.dispose())
        change = asyncio.create_task(store.update(item.id, {"name": str(turns)}))
        for _ in range(turns):
            await asyncio.sleep(0)
        change.cancel()
        await asyncio.wait([change])
        assert held(engine) == 0
        if not change.cancelled():
            assert change.result() == await store.get(item.id)
            break


async def test_an_error_leaves_neither_a_row_nor_a_transaction(
    engine: AsyncEngine, store: PostgresItems
) -> None:
    for _ in range(20):  # more than the pool has
        with pytest.raises(DBAPIError, match="0x00"):
            await store.create(ItemCreate.model_construct(name="NUL \0"))
    assert held(engine) == 0
    assert await store.page(10) == []
    assert await store.create(ItemCreate(name="Lamp"))


async def test_reading_in_autocommit_leaves_writing_in_transactions(
    engine: AsyncEngine, store: PostgresItems
) -> None:
    await store.get(uuid4())
    async with engine.connect() as connection:  # the one that was read on
        await connection.execute(text("INSERT INTO items (name) VALUES ('half')"))
    assert await store.page(10) == []


async def test_items_of_one_moment_have_an_order_too(
    engine: AsyncEngine, store: PostgresItems
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO items (name) SELECT generate_series(1, 7)"))
        await connection.execute(text("SET enable_indexscan = off"))  # nor does it owe it to luck
    everything = await store.page(10)
    assert len({item.created_at for item in everything}) == 1
    assert [item.id for item in everything] == sorted((i.id for i in everything), reverse=True)
    assert await walk(store, 2) == everything


async def test_a_deep_page_is_found_by_the_index(
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
    asked: list[tuple[str, Any]] = []

    def remember(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", remember)
    page = await store.page(10, Cursor(row["created_at"], row["id"]))
    assert [item.name for item in page] == [str(n) for n in range(999, 989, -1)]

    [(statement, parameters)] = asked
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
    plan = json.loads(await observer.fetchval(explain, *parameters))[0]["Plan"]
    await observer.close()
    [scan] = plan["Plans"]
    assert (scan["Node Type"], scan["Scan Direction"]) == ("Index Scan", "Backward")
    assert scan["Index Name"] == "items_created_at_id_idx"
    assert scan["Actual Rows"] == 10
    assert "Filter" not in scan
