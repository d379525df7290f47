"""The store of items in memory."""

import pytest

from reference_service.items import ItemCreate, MemoryItems

from .contract import StoreContract, walk


class TestMemoryItems(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryItems:
        return MemoryItems()


async def test_full_store_replaces_the_oldest_item() -> None:
    store = MemoryItems(capacity=2)
    oldest, *others = [await store.create(ItemCreate(name=str(n))) for n in range(3)]
    assert await store.get(oldest.id) is None
    assert await store.page(10) == others[::-1]


async def test_items_of_the_same_time_have_an_order() -> None:
    store = MemoryItems()
    first = await store.create(ItemCreate(name="first"))
    for n in range(6):
        item = await store.create(ItemCreate(name=str(n)))
        store._items[item.id] = item.model_copy(update={"created_at": first.created_at})
    assert await walk(store, 2) == await store.page(10)
    assert len(await store.page(10)) == 7
