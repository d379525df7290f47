"""Items cached in a real Valkey, in front of items in memory."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import pytest
from redis.asyncio import Redis

import dev.valkey

from reference_service.items import Item, ItemCreate, ItemPatch, cache
from reference_service.items.cache import CachedItems
from reference_service.items.memory import MemoryItems

from .contract import StoreContract

QUICK = 1.0
"""Seconds within which even a busy machine has done what does not wait for Redis."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dev.valkey.Valkey]:
    with dev.valkey.Valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield valkey


@pytest.fixture
async def redis(server: dev.valkey.Valkey) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        await client.flushall()
        yield client


class Database(MemoryItems):
    """The store behind the cache. The method called `held` answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.held = ""
        self.done, self.let_go = asyncio.Event(), asyncio.Event()

    async def get(self, item_id: UUID) -> Item | None:
        return await self._answer("get", await super().get(item_id))

    async def update(self, item_id: UUID, patch: ItemPatch) -> Item | None:
        return await self._answer("update", await super().update(item_id, patch))

    async def _answer(self, method: str, item: Item | None) -> Item | None:
        if method == self.held:
            self.done.set()
            await self.let_go.wait()
        return item


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def store(database: Database, redis: Redis) -> CachedItems:
    return CachedItems(database, redis)


class TestCachedItems(StoreContract):
    """The store is this module's fixture."""


async def cached(store: CachedItems, database: Database) -> Item:
    """Create an item and have it cached; in the database it is called otherwise by now."""
    item = await store.create(ItemCreate(name="cached"))
    assert await store.get(item.id) == item
    await database.update(item.id, {"name": "kept"})
    assert await store.get(item.id) == item
    return item


async def name(store: CachedItems, item: Item) -> str | None:
    found = await store.get(item.id)
    return found.name if found else None


async def expiry(redis: Redis) -> int:
    """Return the seconds that the only key has left."""
    [key] = await redis.keys()
    return int(await redis.ttl(key))


async def test_a_cached_item_expires(store: CachedItems, database: Database, redis: Redis) -> None:
    await cached(store, database)
    assert cache.TTL - 5 < await expiry(redis) <= cache.TTL


async def test_a_change_is_seen_at_once(store: CachedItems, database: Database) -> None:
    item = await cached(store, database)
    await store.update(item.id, {"description": "new"})
    assert await name(store, item) == "kept"


async def test_what_is_deleted_is_gone_at_once(store: CachedItems, database: Database) -> None:
    item = await cached(store, database)
    await store.delete(item.id)
    assert await store.get(item.id) is None


async def test_a_slow_reader_does_not_bring_the_former_item_back(
    store: CachedItems, database: Database
) -> None:
    item = await store.create(ItemCreate(name="former"))
    database.held = "get"
    reader = asyncio.create_task(store.get(item.id))
    await database.done.wait()  # it has read, and has yet to cache what it has read
    await store.update(item.id, {"name": "new"})
    database.let_go.set()
    assert await reader == item
    assert await name(store, item) == "new"


async def test_a_changed_item_is_cached_again_after_a_while(
    store: CachedItems, database: Database, redis: Redis
) -> None:
    item = await cached(store, database)
    await store.update(item.id, {"name": "new"})
    assert cache.TOMBSTONE_TTL - 5 < await expiry(redis) <= cache.TOMBSTONE_TTL
    await redis.flushall()  # as if it had expired
    await store.get(item.id)
    assert await expiry(redis) > cache.TOMBSTONE_TTL


async def test_a_change_that_was_cancelled_too_late_is_seen_at_once(
    store: CachedItems, database: Database
) -> None:
    item = await cached(store, database)
    database.held = "update"
    change = asyncio.create_task(store.update(item.id, {"name": "new"}))
    await database.done.wait()
    change.cancel()
    with pytest.raises(asyncio.CancelledError):
        await change
    assert await name(store, item) == "new"


async def test_an_item_of_another_build_is_read_from_the_store(
    store: CachedItems, database: Database, redis: Redis
) -> None:
    item = await cached(store, database)
    [key] = await redis.keys()
    await redis.set(key, b'{"id": 1}')
    assert await name(store, item) == "kept"


async def use(store: CachedItems) -> None:
    """Do everything that a store can do."""
    item = await store.create(ItemCreate(name="Lamp"))
    assert await store.get(item.id) == item
    changed = await store.update(item.id, {"name": "Torch"})
    assert await store.get(item.id) == changed
    assert changed in await store.page(100)
    await store.delete(item.id)
    assert await store.get(item.id) is None


async def until_cached_again(store: CachedItems, database: Database) -> None:
    async with asyncio.timeout(10):
        while True:
            item = await store.create(
                ItemCreate(name="cached")
            )  # the last look may have cached "kept"
            await store.get(item.id)
            await database.update(item.id, {"name": "kept"})
            if await name(store, item) == "cached":
                return
            await asyncio.sleep(0.01)


async def test_without_redis_everything_works_and_one_line_is_logged(
    store: CachedItems,
    database: Database,
    server: dev.valkey.Valkey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "reference_service")
    item = await cached(store, database)
    server.kill()
    try:
        for _ in range(10):
            await use(store)
        assert await name(store, item) == "kept"
        assert [record.message for record in caplog.records] == ["cache unavailable"]
    finally:
        server.start()
    await until_cached_again(store, database)
    assert [record.message for record in caplog.records] == [
        "cache unavailable",
        "cache available again",
    ]


async def test_a_hung_redis_delays_little_and_seldom(
    store: CachedItems, database: Database, server: dev.valkey.Valkey
) -> None:
    items = [await cached(store, database) for _ in range(50)]
    server.pause()
    try:
        started = time.monotonic()
        names = await asyncio.gather(*(name(store, item) for item in items))
        assert time.monotonic() - started < cache.REDIS_TIMEOUT + QUICK
        assert set(names) == {"kept"}

        started = time.monotonic()
        for item in items:
            await store.get(item.id)
        assert time.monotonic() - started < QUICK

        store._retry_at = 0.0  # as if it had rested
        reads = [asyncio.create_task(store.get(item.id)) for item in items]
        for _ in range(10):
            await asyncio.sleep(0)  # those that need nothing but the memory are done by now
        assert sum(not read.done() for read in reads) == 1
        await asyncio.wait(reads)

        started = time.monotonic()
        await store.update(items[0].id, {"name": "new"})
        assert time.monotonic() - started < cache.REDIS_TIMEOUT + QUICK
        async with asyncio.timeout(30):
            while len(asyncio.all_tasks()) > 1:  # what was not waited for ends by itself
                await asyncio.sleep(0.01)
    finally:
        server.resume()
    await until_cached_again(store, database)


async def test_no_answer_of_redis_reaches_another_request(
    store: CachedItems, database: Database, server: dev.valkey.Valkey
) -> None:
    items = [await store.create(ItemCreate(name=str(n))) for n in range(20)]
    for item in items:
        await store.get(item.id)
    server.pause()
    try:
        await asyncio.gather(*(store.get(item.id) for item in items))
    finally:
        server.resume()
    await until_cached_again(store, database)
    assert await asyncio.gather(*(store.get(item.id) for item in items)) == items


async def test_a_full_redis_forgets_what_was_changed(
    store: CachedItems,
    database: Database,
    redis: Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "reference_service")
    item = await cached(store, database)
    await redis.config_set("maxmemory", 1)
    try:
        await store.update(item.id, {"description": "new"})
        for _ in range(10):
            await use(store)
            assert await name(store, item) == "kept"
        assert await redis.keys() == []
        assert [record.message for record in caplog.records] == ["cache unavailable"]
    finally:
        await redis.config_set("maxmemory", 0)
    await until_cached_again(store, database)
