"""The interface between the routes and the storage of items."""

from typing import Protocol
from uuid import UUID

from .cursor import Cursor
from .model import Item, ItemCreate, ItemPatch


class ItemStore(Protocol):
    """Stores items. One instance serves all requests at once for as long as the application runs.

    Each method is one transaction. When it returns, all of it has happened. When it raises, nothing
    of it has happened. After a cancellation it may have happened or not, and it holds no resources.
    If the storage cannot be reached, the error of its driver is raised.
    """

    async def create(self, new: ItemCreate) -> Item:
        """Store a new item under a new id."""

    async def get(self, item_id: UUID) -> Item | None:
        """Return the item, or None if it does not exist."""

    async def page(self, limit: int, after: Cursor | None = None) -> list[Item]:
        """Return up to `limit` items, the newest first, starting after a cursor.

        The order never changes, because none of the fields in it can change. A client that reads
        all pages therefore gets each item that existed all the time exactly once. Items that are
        created or deleted meanwhile make no difference.
        """

    async def update(self, item_id: UUID, patch: ItemPatch) -> Item | None:
        """Change the given fields and return the item, or None if it does not exist."""

    async def delete(self, item_id: UUID) -> None:
        """Delete the item if it exists."""
