"""The cache of items when requests overlap, and when Redis fails."""

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

from ..processes import eventually

QUICK = 3.0
"""Maximum seconds, on a busy machine, of work that does not wait for Redis."""


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
    """The store behind the cache. The method named `paused` returns when `resume` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = ""
        self.done, self.resume = asyncio.Event(), asyncio.Event()

    async def get(self, item_id: UUID) -> Item | None:
        return await self._pause("get", await super().get(item_id))

    async def update(self, item_id: UUID, patch: ItemPatch) -> Item | None:
        return await self._pause("update", await super().update(item_id, patch))

    async def _pause(self, method: str, item: Item | None) -> Item | None:
        if method == self.paused:
            self.done.set()
            await self.resume.wait()
        return item


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def store(database: Database, redis: Redis) -> CachedItems:
    return CachedItems(database, redis)


async def wait_for(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 10)


async def cached(store: CachedItems, database: Database) -> Item:
    """Return an item whose name is "cached" in the cache and "stored" in the database."""
    item = await store.create(ItemCreate(name="cached"))
    assert await store.get(item.id) == item
    await database.update(item.id, {"name": "stored"})
    assert await store.get(item.id) == item
    return item


async def name(store: CachedItems, item: Item) -> str | None:
    found = await store.get(item.id)
    return found.name if found else None


async def ttl(redis: Redis) -> int:
    """Return the remaining seconds of the only key."""
    [key] = await redis.keys()
    return int(await redis.ttl(key))


async def test_cached_item_expires(store: CachedItems, database: Database, redis: Redis) -> None:
    await cached(store, database)
    assert cache.TTL - 5 < await ttl(redis) <= cache.TTL


async def test_cached_item_of_another_build_is_ignored(
    store: CachedItems, database: Database, redis: Redis
) -> None:
    item = await cached(store, database)
    [key] = await redis.keys()
    await redis.set(key, b'{"id": 1}')
    assert await name(store, item) == "stored"


async def test_slow_reader_does_not_cache_the_previous_item(
    store: CachedItems, database: Database
) -> None:
    item = await store.create(ItemCreate(name="previous"))
    database.paused = "get"
    reader = asyncio.create_task(store.get(item.id))
    await wait_for(database.done)  # it has read the item but not cached it
    await store.update(item.id, {"name": "new"})
    database.resume.set()
    assert await reader == item
    assert await name(store, item) == "new"


async def test_updated_item_is_cached_again_after_the_tombstone_expired(
    store: CachedItems, database: Database, redis: Redis
) -> None:
    item = await cached(store, database)
    await store.update(item.id, {"name": "new"})
    assert cache.TOMBSTONE_TTL - 5 < await ttl(redis) <= cache.TOMBSTONE_TTL
    await redis.flushall()  # as if it had expired
    await store.get(item.id)
    assert await ttl(redis) > cache.TOMBSTONE_TTL


async def test_update_that_was_cancelled_too_late_is_visible_at_once(
    store: CachedItems, database: Database
) -> None:
    item = await cached(store, database)
    database.paused = "update"
    change = asyncio.create_task(store.update(item.id, {"name": "new"}))
    await wait_for(database.done)
    change.cancel()
    with pytest.raises(asyncio.CancelledError):
        await change
    assert await name(store, item) == "new"


async def use(store: CachedItems) -> None:
    """Call every method of the store."""
    item = await store.create(ItemCreate(name="Lamp"))
    assert await store.get(item.id) == item
    changed = await store.update(item.id, {"name": "Torch"})
    assert await store.get(item.id) == changed
    assert changed in await store.page(100)
    await store.delete(item.id)
    assert await store.get(item.id) is None


async def until_cached_again(store: CachedItems, database: Database) -> None:
    async def is_cached() -> bool:
        item = await store.create(ItemCreate(name="cached"))
        await store.get(item.id)
        await database.update(item.id, {"name": "stored"})
        return await name(store, item) == "cached"

    await eventually(is_cached)


async def test_unavailable_redis_fails_no_method(
    store: CachedItems, database: Database, server: dev.valkey.Valkey
) -> None:
    item = await cached(store, database)
    server.kill()
    try:
        for _ in range(10):
            await use(store)
        assert await name(store, item) == "stored"
    finally:
        server.start()
    await until_cached_again(store, database)


async def only_this_task() -> bool:
    return len(asyncio.all_tasks()) == 1


async def test_request_waits_for_a_hung_redis_once(
    store: CachedItems, database: Database, server: dev.valkey.Valkey
) -> None:
    items = [await cached(store, database) for _ in range(50)]
    server.pause()
    try:
        started = time.monotonic()
        names = await asyncio.gather(*(name(store, item) for item in items))
        assert time.monotonic() - started < cache.REDIS_TIMEOUT + QUICK
        assert set(names) == {"stored"}
        started = time.monotonic()
        await store.update(items[0].id, {"name": "new"})
        assert time.monotonic() - started < cache.REDIS_TIMEOUT + QUICK
        await eventually(only_this_task)  # abandoned commands end by themselves
    finally:
        server.resume()
    await until_cached_again(store, database)


async def test_no_request_waits_for_redis_while_its_check_fails(
    database: Database, redis: Redis, server: dev.valkey.Valkey
) -> None:
    failures: list[str] = []
    is_down = False
    store = CachedItems(database, redis, lambda: failures.append(""), lambda: is_down)
    item = await cached(store, database)
    server.pause()
    is_down = True
    try:
        reads = [asyncio.create_task(store.get(item.id)) for _ in range(50)]
        change = asyncio.create_task(store.update(item.id, {"name": "new"}))
        for _ in range(10):
            await asyncio.sleep(0)  # calls that wait for nothing end meanwhile
        assert all(task.done() for task in (*reads, change))
        assert all(read.result() for read in reads)
        assert failures == []
        await eventually(only_this_task)
    finally:
        server.resume()
    is_down = False
    await until_cached_again(store, database)


async def test_item_that_changed_while_the_check_failed_is_not_read_from_the_cache(
    database: Database, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    is_down = False
    store = CachedItems(database, redis, is_down=lambda: is_down)
    item = await cached(store, database)
    is_down = True
    await store.update(item.id, {"name": "new"})
    await eventually(only_this_task)
    is_down = False
    with caplog.at_level(logging.INFO):
        assert await name(store, item) == "new"
    messages = [record.message for record in caplog.records]
    assert messages == ["cache unavailable", "cache available again"]


async def test_late_reply_of_redis_reaches_no_other_request(
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


async def test_full_redis_drops_an_updated_item(
    store: CachedItems, database: Database, redis: Redis
) -> None:
    item = await cached(store, database)
    await redis.config_set("maxmemory", 1)
    try:
        await store.update(item.id, {"description": "new"})
        for _ in range(10):
            await use(store)
            assert await name(store, item) == "stored"
        assert await redis.keys() == []
    finally:
        await redis.config_set("maxmemory", 0)
    await until_cached_again(store, database)
