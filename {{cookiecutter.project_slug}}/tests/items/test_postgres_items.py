"""The store of items in a real PostgreSQL, with the schema of the migrations."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from reference_service.dependencies.postgres import (
    Postgres,
    PostgresSettings,
)
from reference_service.health import CheckFailed, run_once
from reference_service.items import Cursor, ItemCreate
from reference_service.items.postgres import PostgresItems, items_check

from .contract import StoreContract, walk


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


class TestPostgresItems(StoreContract):
    """The store is this module's fixture."""


async def test_database_error_leaves_no_row_and_no_transaction(
    postgres: Postgres, store: PostgresItems
) -> None:
    for _ in range(20):  # more than the pool's connections
        with pytest.raises(DBAPIError, match="0x00"):
            await store.create(ItemCreate.model_construct(name="NUL \0"))
    assert postgres.pool_usage.in_use == 0
    assert await store.page(10) == []
    assert await store.create(ItemCreate(name="Lamp"))


async def test_connection_that_was_read_on_still_writes_in_transactions(
    engine: AsyncEngine, store: PostgresItems
) -> None:
    await store.get(uuid4())
    async with engine.connect() as connection:  # the connection that was read on
        await connection.execute(text("INSERT INTO items (name) VALUES ('half')"))
    assert await store.page(10) == []


async def test_check_names_the_page_with_an_invalid_item_and_hides_its_values(
    engine: AsyncEngine, postgres: Postgres
) -> None:
    await run_once(items_check(postgres))
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO items (name, created_at) VALUES (1, 'infinity')")
        )
    with pytest.raises(CheckFailed) as failed:
        await run_once(items_check(postgres))
    assert failed.value.detail == "page: a row is not a valid item"


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
