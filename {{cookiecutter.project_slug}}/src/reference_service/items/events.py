"""The event that an item was created: its format and its publisher."""

from collections.abc import Callable
from typing import Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from .model import Item, ItemCreate
from .store import ItemStore

WITHOUT_KAFKA = "no request waits for events; they are buffered, and dropped if there are too many"

Publish = Callable[[bytes, bytes], None]  # queues a key and a value; neither waits nor raises


class ItemCreated(BaseModel):
    """The value of a message, as a JSON object. The key of the message is the item's id.

    A consumer can receive an event twice or not at all. It must ignore unknown fields.
    """

    model_config = ConfigDict(frozen=True)

    type: Literal["item.created"] = "item.created"
    id: UUID
    name: str
    time: AwareDatetime

    @classmethod
    def of(cls, item: Item) -> Self:
        """Return the event of a new item."""
        return cls(id=item.id, name=item.name, time=item.created_at)


class PublishingItemStore:
    """An `ItemStore` that publishes an event for each item that it creates in another store."""

    def __init__(self, store: ItemStore, publish: Publish) -> None:
        self._create = store.create
        self._publish = publish
        self.get, self.page = store.get, store.page
        self.update, self.delete = store.update, store.delete

    async def create(self, new: ItemCreate) -> Item:
        """Store a new item, then publish its event."""
        item = await self._create(new)
        self._publish(str(item.id).encode(), ItemCreated.of(item).model_dump_json().encode())
        return item
