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

from ..health.tasks import ignore_exception, result_within
from .model import Item, ItemPatch
from .store import ItemStore

log = logging.getLogger(__name__)

T = TypeVar("T")

WITHOUT_REDIS = "without the cache, items are read from the database"
TTL = 30  # seconds that an item is cached
TOMBSTONE = b""  # the value that keeps a changed item out of the cache
TOMBSTONE_TTL = 10  # seconds that it is kept out: as long as a request may take
UNAVAILABLE = RedisError, OSError
REDIS_TIMEOUT = 0.1  # seconds to wait: a cache that is slower than the database is useless


class CachedItems:
    """An `ItemStore` that caches `get` in Redis and never fails because of Redis.

    on_failure: called when a command fails or takes too long, which no response shows.
    is_down: whether the check of Redis fails. No request waits for Redis then.

    A change replaces the cached item with a tombstone, and readers cache an item only under a
    free key. So a slow reader cannot put the previous item back. Two gaps remain: readers get the
    previous item until its tombstone is written, or until its `TTL` if Redis was unavailable.
    """

    def __init__(
        self,
        store: ItemStore,
        redis: Redis,
        on_failure: Callable[[], None] = lambda: None,
        is_down: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._redis = redis
        self._on_failure = on_failure
        self._is_down = is_down
        self._was_down = False
        self.create, self.page = store.create, store.page

    async def get(self, item_id: UUID) -> Item | None:
        """Return the item, from the cache if possible, or None if it does not exist."""
        if self._is_unavailable():
            return await self._store.get(item_id)
        try:
            cached = await self._send(self._redis.get(_key(item_id)))
        except UNAVAILABLE:
            return await self._store.get(item_id)
        if cached:
            with contextlib.suppress(ValidationError):  # another build may have other fields
                return Item.model_validate_json(cached)
        item = await self._store.get(item_id)
        if item:
            value = item.model_dump_json()
            with contextlib.suppress(*UNAVAILABLE):
                await self._send(self._redis.set(_key(item_id), value, ex=TTL, nx=True))
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
        """Replace the cached item with a tombstone. Send it even to a Redis that is down."""

        async def put_tombstone() -> None:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.delete(_key(item_id))  # a full Redis rejects the tombstone, but not this
                pipeline.set(_key(item_id), TOMBSTONE, ex=TOMBSTONE_TTL)
                await pipeline.execute()

        sending = asyncio.create_task(self._send(put_tombstone()))
        ignore_exception(sending)
        if not self._is_unavailable():
            with contextlib.suppress(*UNAVAILABLE):
                await sending

    def _is_unavailable(self) -> bool:
        """Return whether the check of Redis fails. The next request logs that this has changed."""
        is_down, was_down = self._is_down(), self._was_down
        self._was_down = is_down
        if is_down and not was_down:
            log.warning("cache unavailable")
        elif was_down and not is_down:
            log.info("cache available again")
        return is_down

    async def _send(self, command: Awaitable[T]) -> T:
        """Return the reply of Redis to a command. Raises one of `UNAVAILABLE`."""
        try:
            # After the timeout it is not awaited: on a busy machine redis-py took 5 s to react.
            return await result_within(REDIS_TIMEOUT, asyncio.ensure_future(command))
        except UNAVAILABLE:
            self._on_failure()
            raise


def _key(item_id: UUID) -> str:
    return f"reference-service:item:{item_id}"
