"""The example: one domain in one folder, from its routes to its tables.

    store = MemoryItems()
    app.include_router(items_router(store))

A second domain is a second folder like this one. Neither imports the other.
"""

from .api import items_router
from .cursor import Cursor
from .memory import MemoryItems
from .model import Item, ItemCreate, ItemPage, ItemPatch
from .store import ItemStore

__all__ = [
    "Cursor",
    "Item",
    "ItemCreate",
    "ItemPage",
    "ItemPatch",
    "ItemStore",
    "MemoryItems",
    "items_router",
]
