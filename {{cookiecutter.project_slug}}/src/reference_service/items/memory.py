"""Items in the memory of this process: for a service that was made without a database."""

import heapq
from datetime import UTC, datetime
from uuid import UUID, uuid4

from .cursor import Cursor
from .model import Item, ItemCreate, ItemPatch


class MemoryItems:
    """An `ItemStore` over a dict, gone with the process.

    capacity: how many items it keeps; a further one takes the place of the oldest, since memory
    that strangers can fill ends in a kill.
    """

    def __init__(self, capacity: int = 1000) -> None:
        self._items: dict[UUID, Item] = {}
        self._capacity = capacity

    async def create(self, new: ItemCreate) -> Item:
        """Keep a new item."""
        now = datetime.now(UTC)
        item = Item(id=uuid4(), **new.model_dump(), created_at=now, updated_at=now)
        if len(self._items) >= self._capacity:
            del self._items[min(self._items.values(), key=Cursor.of).id]
        self._items[item.id] = item
        return item

    async def get(self, item_id: UUID) -> Item | None:
        """Return the item, or None if there is none."""
        return self._items.get(item_id)

    async def page(self, limit: int, after: Cursor | None = None) -> list[Item]:
        """Return up to `limit` items, the newest first, from the first one after a position."""
        rest = (item for item in self._items.values() if not after or Cursor.of(item) < after)
        return heapq.nlargest(limit, rest, key=Cursor.of)

    async def update(self, item_id: UUID, patch: ItemPatch) -> Item | None:
        """Change the given fields, and return the item as it is now, or None if there is none."""
        item = self._items.get(item_id)
        if item is None or not patch:
            return item
        changes = {**patch, "updated_at": datetime.now(UTC)}
        self._items[item_id] = item.model_copy(update=changes)
        return self._items[item_id]

    async def delete(self, item_id: UUID) -> None:
        """See to it that there is no such item."""
        self._items.pop(item_id, None)
