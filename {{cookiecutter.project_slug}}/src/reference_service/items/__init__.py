"""The example: one domain in one folder, from its routes to its tables.

    store = MemoryItems()
    app.include_router(items_router(store))

A second domain is a second folder like this one; neither imports the other.
"""

from .api import items_router
from .memory import MemoryItems
from .model import Item, ItemIn, ItemPage, ItemPatch
from .position import Position
from .store import ItemStore

__all__ = [
    "Item",
    "ItemIn",
    "ItemPage",
    "ItemPatch",
    "ItemStore",
    "MemoryItems",
    "Position",
    "items_router",
]
