import pytest

from reference_service.items import ItemCreate, MemoryItems

from .contract import StoreContract, walk


class TestMemoryItems(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryItems:
        return MemoryItems()


async def test_a_full_store_drops_the_oldest() -> None:
    store = MemoryItems(capacity=2)
    oldest, *others = [await store.create(ItemCreate(name=str(n))) for n in range(3)]
    assert await store.get(oldest.id) is None
    assert await store.page(10) == others[::-1]


async def test_items_of_one_moment_have_an_order_too() -> None:
    store = MemoryItems()
    first = await store.create(ItemCreate(name="first"))
    for n in range(6):
        item = await store.create(ItemCreate(name=str(n)))
        at_once = item.model_copy(update={"created_at": first.created_at})
        store._items[item.id] = at_once
    assert await walk(store, 2) == await store.page(10)
    assert len(await store.page(10)) == 7
