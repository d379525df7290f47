"""The cache of items in a real Valkey, in front of a store in memory."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

import dev.valkey

from reference_service.items import Item, ItemCreate, MemoryItems
from reference_service.items.cache import CachedItems

from .contract import StoreContract


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dev.valkey.Valkey]:
    with dev.valkey.Valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield valkey


@pytest.fixture
async def redis(server: dev.valkey.Valkey) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        await client.flushall()
        yield client


@pytest.fixture
def database() -> MemoryItems:
    return MemoryItems()


@pytest.fixture
def store(database: MemoryItems, redis: Redis) -> CachedItems:
    return CachedItems(database, redis)


class TestCachedItems(StoreContract):
    """The store is this module's fixture."""


async def cached(store: CachedItems, database: MemoryItems) -> Item:
    """Return an item whose name is "cached" in the cache and "stored" in the database."""
    item = await store.create(ItemCreate(name="cached"))
    assert await store.get(item.id) == item
    await database.update(item.id, {"name": "stored"})
    assert await store.get(item.id) == item
    return item


async def name(store: CachedItems, item: Item) -> str | None:
    found = await store.get(item.id)
    return found.name if found else None


async def test_update_is_visible_at_once(store: CachedItems, database: MemoryItems) -> None:
    item = await cached(store, database)
    await store.update(item.id, {"description": "new"})
    assert await name(store, item) == "stored"


async def test_deletion_is_visible_at_once(store: CachedItems, database: MemoryItems) -> None:
    item = await cached(store, database)
    await store.delete(item.id)
    assert await store.get(item.id) is None
