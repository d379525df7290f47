import pytest

from reference_service.items import ItemIn, MemoryItems

from .contract import StoreContract


class TestMemoryItems(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryItems:
        return MemoryItems()


async def test_a_full_store_drops_the_oldest() -> None:
    store = MemoryItems(capacity=2)
    oldest, *others = [await store.create(ItemIn(name=str(n))) for n in range(3)]
    assert await store.get(oldest.id) is None
    assert await store.page(10) == others[::-1]
