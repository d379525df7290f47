"""The seam between the API and whatever keeps the items."""

from typing import Protocol
from uuid import UUID

from .cursor import Cursor
from .model import Item, ItemCreate, ItemPatch


class ItemStore(Protocol):
    """Keeps items. One instance lives as long as the application and serves all requests at once.

    Each method is one transaction: it has happened wholly when it returns, and not at all when it
    raises. Cancelled, it may have happened or not, and holds nothing any longer. What cannot be
    reached raises whatever its driver raises.
    """

    async def create(self, new: ItemCreate) -> Item:
        """Keep a new item, under a new id."""

    async def get(self, item_id: UUID) -> Item | None:
        """Return the item, or None if there is none."""

    async def page(self, limit: int, after: Cursor | None = None) -> list[Item]:
        """Return up to `limit` items, the newest first, from the first one after a position.

        The order never changes, since no field in it does. So whoever walks the pages meets each
        item that existed from first to last exactly once, whatever is created or deleted meanwhile.
        """

    async def update(self, item_id: UUID, patch: ItemPatch) -> Item | None:
        """Change the given fields, and return the item as it is now, or None if there is none."""

    async def delete(self, item_id: UUID) -> None:
        """See to it that there is no such item, whether there was one or not."""
