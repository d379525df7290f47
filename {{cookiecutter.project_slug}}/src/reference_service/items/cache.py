"""A store of items that reads from Redis first and falls back to another store."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ..health.tasks import result_within
from .model import Item, ItemPatch
from .store import ItemStore

log = logging.getLogger(__name__)

T = TypeVar("T")

WITHOUT_REDIS = "without the cache, items are read from the database"
TTL = 30  # seconds that an item is cached
TOMBSTONE = b""  # the value that keeps a changed item out of the cache
TOMBSTONE_TTL = 10  # seconds that it is kept out: as long as a request may take
REDIS_TIMEOUT = 0.1  # seconds to wait: a cache that is slower than the database is useless
RETRY_INTERVAL = 1.0  # seconds between attempts, of one request each, to use a Redis that failed


class CachedItems:
    """An `ItemStore` that caches `get` in Redis and never fails because of Redis.

    on_failure: called when a command fails or takes too long, which no response shows.

    A change replaces the cached item with a tombstone, and readers cache an item only under a
    free key. So a slow reader cannot put the previous item back. Two gaps remain: readers get the
    previous item until its tombstone is written, or until its `TTL` if Redis was unavailable.
    """

    def __init__(
        self, store: ItemStore, redis: Redis, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._on_failure = on_failure
        self.create, self.page = store.create, store.page
        self._redis = redis
        self._unavailable = False
        self._retry_at = 0.0

    async def get(self, item_id: UUID) -> Item | None:
        """Return the item, from the cache if possible, or None if it does not exist."""
        cached: bytes | str | None = None
        if not self._unavailable:
            cached = await self._try(lambda: self._redis.get(_key(item_id)))
        if cached:
            with contextlib.suppress(ValidationError):  # another build may have other fields
                return Item.model_validate_json(cached)
        item = await self._store.get(item_id)
        if item and self._may_write():
            value = item.model_dump_json()
            await self._try(lambda: self._redis.set(_key(item_id), value, ex=TTL, nx=True))
        return item

    async def update(self, item_id: UUID, patch: ItemPatch) -> Item | None:
        try:
            return await self._store.update(item_id, patch)
        finally:  # also after an error or a cancellation, because the change may have happened
            await self._invalidate(item_id)

    async def delete(self, item_id: UUID) -> None:
        try:
            await self._store.delete(item_id)
        finally:
            await self._invalidate(item_id)

    async def _invalidate(self, item_id: UUID) -> None:
        """Replace the cached item with a tombstone, or try to, even while Redis is unavailable."""

        async def put_tombstone() -> None:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.delete(_key(item_id))  # a full Redis rejects the tombstone, but not this
                pipeline.set(_key(item_id), TOMBSTONE, ex=TOMBSTONE_TTL)
                await pipeline.execute()

        await self._try(put_tombstone)

    def _may_write(self) -> bool:
        """Return whether Redis is available, or this request should try it again.

        That attempt is a write, because a full Redis and a replica can still be read.
        """
        if self._unavailable:
            now = asyncio.get_running_loop().time()
            if now < self._retry_at:
                return False
            self._retry_at = now + RETRY_INTERVAL  # other requests do not wait meanwhile
        return True

    async def _try(self, command: Callable[[], Awaitable[T]]) -> T | None:
        """Return the reply of Redis, or None if it failed or did not arrive in time."""
        try:
            # After the timeout it is not awaited: on a busy machine redis-py took 5 s to react.
            reply = await result_within(REDIS_TIMEOUT, asyncio.ensure_future(command()))
        except (RedisError, OSError) as error:
            self._on_failure()
            if not self._unavailable:
                log.warning("cache unavailable", extra={"error": type(error).__name__})
            self._unavailable = True
            self._retry_at = asyncio.get_running_loop().time() + RETRY_INTERVAL
            return None
        if self._unavailable:
            log.info("cache available again")
        self._unavailable = False
        return reply


def _key(item_id: UUID) -> str:
    return f"reference-service:item:{item_id}"
