"""A store of items in the memory of this process, for a service without a database."""

import heapq
from datetime import UTC, datetime
from uuid import UUID, uuid4

from .cursor import Cursor
from .model import Item, ItemCreate, ItemPatch


class MemoryItems:
    """An `ItemStore` in a dict, which is lost when the process ends.

    capacity: maximum number of items, so that clients cannot fill the memory. More replace the
        oldest.
    """

    def __init__(self, capacity: int = 1000) -> None:
        self._items: dict[UUID, Item] = {}
        self._capacity = capacity

    async def create(self, new: ItemCreate) -> Item:
        now = datetime.now(UTC)
        item = Item(id=uuid4(), **new.model_dump(), created_at=now, updated_at=now)
        if len(self._items) >= self._capacity:
            del self._items[min(self._items.values(), key=Cursor.of).id]
        self._items[item.id] = item
        return item

    async def get(self, item_id: UUID) -> Item | None:
        return self._items.get(item_id)

    async def page(self, limit: int, after: Cursor | None = None) -> list[Item]:
        rest = (item for item in self._items.values() if not after or Cursor.of(item) < after)
        return heapq.nlargest(limit, rest, key=Cursor.of)

    async def update(self, item_id: UUID, patch: ItemPatch) -> Item | None:
        item = self._items.get(item_id)
        if item is None or not patch:
            return item
        changes = {**patch, "updated_at": datetime.now(UTC)}
        self._items[item_id] = item.model_copy(update=changes)
        return self._items[item_id]

    async def delete(self, item_id: UUID) -> None:
        self._items.pop(item_id, None)
