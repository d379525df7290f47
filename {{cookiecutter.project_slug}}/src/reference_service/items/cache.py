"""Items read from Redis where it has them, and from a store where it has not."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from .cursor import Cursor
from .model import Item, ItemCreate, ItemPatch
from .store import ItemStore

log = logging.getLogger(__name__)

T = TypeVar("T")

TTL = 30
"""Seconds that an item is cached."""

TOMBSTONE_TTL = 10
"""Seconds that a changed item is kept out of the cache: as long as a request may take."""

REDIS_TIMEOUT = 0.1
"""Seconds to wait for Redis. A cache that is slower than what it saves is none."""

RETRY_INTERVAL = 1.0
"""Seconds between attempts at a Redis that has failed; one request makes each."""


class CachedItems:
    """An `ItemStore` that asks Redis before another store, and never fails because of Redis.

    Only `get` is cached. A change puts a mark in the item's place and readers fill only an empty
    place, so a slow reader that still holds the former item cannot bring it back. What is left:
    between a change and its mark the former item is read; and if the mark could not be put, because
    Redis was away, the former item is read until it expires, `TTL` after it was cached.
    """

    def __init__(self, store: ItemStore, redis: Redis) -> None:
        self._store = store
        self._redis = redis
        self._failed = False
        self._retry_at = 0.0

    async def create(self, new: ItemCreate) -> Item:
        """Keep a new item."""
        return await self._store.create(new)

    async def get(self, item_id: UUID) -> Item | None:
        """Return the item, from the cache if it is there, or None if there is none."""
        cached: bytes | str | None = None
        if not self._failed:
            cached = await self._ask(lambda: self._redis.get(_key(item_id)))
        if cached:
            with contextlib.suppress(ValidationError):  # another build's idea of an item
                return Item.model_validate_json(cached)
        item = await self._store.get(item_id)
        if item and self._may_fill():
            value = item.model_dump_json()
            await self._ask(lambda: self._redis.set(_key(item_id), value, ex=TTL, nx=True))
        return item

    async def page(self, limit: int, after: Cursor | None = None) -> list[Item]:
        """Return up to `limit` items, the newest first, from the first one after a position."""
        return await self._store.page(limit, after)

    async def update(self, item_id: UUID, patch: ItemPatch) -> Item | None:
        """Change the given fields, and return the item as it is now, or None if there is none."""
        try:
            return await self._store.update(item_id, patch)
        finally:  # also when it raised or was cancelled: it may have happened all the same
            await self._mark_changed(item_id)

    async def delete(self, item_id: UUID) -> None:
        """See to it that there is no such item."""
        try:
            await self._store.delete(item_id)
        finally:
            await self._mark_changed(item_id)

    async def _mark_changed(self, item_id: UUID) -> None:
        """Try it also while Redis rests: an old answer later is worse than a moment's wait now."""

        async def mark() -> None:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.delete(_key(item_id))  # a full Redis takes this, if not the mark
                pipeline.set(_key(item_id), b"", ex=TOMBSTONE_TTL)
                await pipeline.execute()

        await self._ask(mark)

    def _may_fill(self) -> bool:
        """Tell whether to write: Redis is well, or this request is the one to try it again.

        It is tried by a write, since a full Redis and a replica can still be read.
        """
        if self._failed:
            now = asyncio.get_running_loop().time()
            if now < self._retry_at:
                return False
            self._retry_at = now + RETRY_INTERVAL  # so that the other requests do not wait as well
        return True

    async def _ask(self, command: Callable[[], Awaitable[T]]) -> T | None:
        """Return Redis's answer, or None if there is none in time."""
        try:
            answer = await _in_time(command())
        except (RedisError, OSError) as error:
            if not self._failed:
                log.warning(
                    "cache unavailable",
                    extra={"error": type(error).__name__},
                )
            self._failed = True
            self._retry_at = asyncio.get_running_loop().time() + RETRY_INTERVAL
            return None
        if self._failed:
            log.info("cache available again")
        self._failed = False
        return answer


async def _in_time(command: Awaitable[T]) -> T:
    """Return its answer. Raises TimeoutError after `REDIS_TIMEOUT`.

    It is then cancelled and not waited for: on a busy machine redis-py has taken 5 s to notice.
    """
    task = asyncio.ensure_future(command)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait({task}, timeout=REDIS_TIMEOUT)
        if task.done():
            return task.result()
    finally:
        task.cancel()
    raise TimeoutError


def _key(item_id: UUID) -> str:
    return f"reference-service:item:{item_id}"
