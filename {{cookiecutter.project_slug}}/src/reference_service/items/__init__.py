"""The example: one domain in one folder, from its routes to its tables.

    store = MemoryItems()
    app.include_router(items_router(store))

A second domain is a second folder like this one. Neither imports the other.
"""

from .api import items_router as items_router
from .cursor import Cursor as Cursor
from .memory import MemoryItems as MemoryItems
from .model import Item as Item
from .model import ItemCreate as ItemCreate
from .model import ItemPage as ItemPage
from .model import ItemPatch as ItemPatch
from .store import ItemStore as ItemStore
