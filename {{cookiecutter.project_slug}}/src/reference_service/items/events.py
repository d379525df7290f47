"""What is said when an item is created, by whom, and how it is heard."""

import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from .cursor import Cursor
from .model import Item, ItemCreate, ItemPatch
from .store import ItemStore

log = logging.getLogger(__name__)

Publish = Callable[[bytes, bytes], None]
"""Has a message sent, by its key and value. It neither waits nor raises."""


class Announcement(BaseModel):
    """One message: this as a JSON object, and the item's id as the key.

    Whoever listens may hear of an item twice, or not at all, and ignores fields it does not know.
    """

    model_config = ConfigDict(frozen=True)

    type: Literal["item.created"] = "item.created"
    id: UUID
    name: str
    time: AwareDatetime

    @classmethod
    def of(cls, item: Item) -> Self:
        """Announce the creation of an item."""
        return cls(id=item.id, name=item.name, time=item.created_at)


class PublishingItemStore:
    """An `ItemStore` over another one, which announces what is created in that."""

    def __init__(self, store: ItemStore, publish: Publish) -> None:
        self._store = store
        self._publish = publish

    async def create(self, new: ItemCreate) -> Item:
        """Keep a new item, and announce it once it is kept."""
        item = await self._store.create(new)
        self._publish(str(item.id).encode(), Announcement.of(item).model_dump_json().encode())
        return item

    async def get(self, item_id: UUID) -> Item | None:
        """Return the item, or None if there is none."""
        return await self._store.get(item_id)

    async def page(self, limit: int, after: Cursor | None = None) -> list[Item]:
        """Return up to `limit` items, the newest first, from the first one after a position."""
        return await self._store.page(limit, after)

    async def update(self, item_id: UUID, patch: ItemPatch) -> Item | None:
        """Change the given fields, and return the item as it is now, or None if there is none."""
        return await self._store.update(item_id, patch)

    async def delete(self, item_id: UUID) -> None:
        """See to it that there is no such item."""
        await self._store.delete(item_id)


async def announcements(messages: AsyncIterable[bytes]) -> AsyncIterator[Announcement]:
    """Yield the announcements among messages; others are logged and passed over."""
    async for message in messages:
        try:
            yield Announcement.model_validate_json(message)
        except ValidationError as error:
            log.warning("not an announcement", extra={"faults": error.error_count()})
