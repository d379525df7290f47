"""The tests that every store of items must pass. A subclass or its module provides `store`."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from reference_service.items import Cursor, Item, ItemCreate, ItemStore

HOSTILE = [
    "'; DROP TABLE items; --",
    "%s $1 :name {0} \\x00 \\",
    "\N{PILE OF POO} e\N{COMBINING ACUTE ACCENT} \N{RIGHT-TO-LEFT OVERRIDE}gnirts",
    "\U0010ffff" * 200,
    "NULL",
]


async def walk(store: ItemStore, limit: int) -> list[Item]:
    """Read every page."""
    items: list[Item] = []
    while page := await store.page(limit, Cursor.of(items[-1]) if items else None):
        assert len(page) <= limit
        assert not any(item in items for item in page)
        items += page
    return items


class StoreContract:
    async def test_created_item_is_read_unchanged(self, store: ItemStore) -> None:
        created = await store.create(ItemCreate(name="Lamp", description="Brass.\n\t40 W."))
        assert (created.name, created.description) == ("Lamp", "Brass.\n\t40 W.")
        assert await store.get(created.id) == created
        assert await store.page(10) == [created]

    @pytest.mark.parametrize("text", HOSTILE)
    async def test_text_is_stored_unchanged(self, store: ItemStore, text: str) -> None:
        created = await store.create(ItemCreate(name=text, description=text))
        changed = await store.update(created.id, {"name": text, "description": text})
        assert changed == await store.get(created.id)
        assert changed is not None
        assert (changed.name, changed.description) == (text, text)

    async def test_times_are_current_and_in_utc(self, store: ItemStore) -> None:
        created = await store.create(ItemCreate(name="Lamp"))
        assert created.created_at.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - created.created_at) < timedelta(minutes=1)
        assert created.updated_at == created.created_at

    async def test_missing_item_is_none(self, store: ItemStore) -> None:
        assert await store.get(uuid4()) is None
        assert await store.update(uuid4(), {"name": "Lamp"}) is None
        assert await store.update(uuid4(), {}) is None
        assert await store.page(10) == []

    async def test_update_changes_only_the_given_fields(self, store: ItemStore) -> None:
        before = await store.create(ItemCreate(name="Lamp", description="Brass."))
        after = await store.update(before.id, {"name": "Torch"})
        assert after is not None
        assert after.updated_at > before.updated_at
        assert after == before.model_copy(update={"name": "Torch", "updated_at": after.updated_at})
        assert await store.get(before.id) == after

    async def test_null_clears_the_description(self, store: ItemStore) -> None:
        before = await store.create(ItemCreate(name="Lamp", description="Brass."))
        after = await store.update(before.id, {"description": None})
        assert after is not None
        assert (after.name, after.description) == ("Lamp", None)

    async def test_update_without_fields_changes_nothing(self, store: ItemStore) -> None:
        before = await store.create(ItemCreate(name="Lamp"))
        assert await store.update(before.id, {}) == before
        assert await store.get(before.id) == before

    async def test_concurrent_updates_of_different_fields_are_both_kept(
        self, store: ItemStore
    ) -> None:
        item = await store.create(ItemCreate(name="Lamp"))
        await asyncio.gather(
            store.update(item.id, {"name": "Torch"}),
            store.update(item.id, {"description": "Brass."}),
        )
        both = await store.get(item.id)
        assert both is not None
        assert (both.name, both.description) == ("Torch", "Brass.")

    async def test_deleted_item_stays_deleted(self, store: ItemStore) -> None:
        deleted, kept = [await store.create(ItemCreate(name=name)) for name in ("old", "kept")]
        for _ in "12":
            await store.delete(deleted.id)
            assert await store.get(deleted.id) is None
            assert await store.update(deleted.id, {"name": "new"}) is None
            assert await store.page(10) == [kept]

    async def test_newest_items_come_first(self, store: ItemStore) -> None:
        created = [await store.create(ItemCreate(name=str(n))) for n in range(5)]
        await store.update(created[0].id, {"name": "changed"})
        assert [item.id for item in await store.page(3)] == [i.id for i in created[:1:-1]]
        assert [item.id for item in await walk(store, 2)] == [i.id for i in created[::-1]]

    async def test_concurrently_created_items_are_listed_once_each(self, store: ItemStore) -> None:
        created = await asyncio.gather(*(store.create(ItemCreate(name=str(n))) for n in range(20)))
        found = [item.id for item in await walk(store, 3)]
        assert sorted(found) == sorted({item.id for item in created})

    async def test_pages_neither_repeat_nor_lose_items_during_writes(
        self, store: ItemStore
    ) -> None:
        *others, newest = [await store.create(ItemCreate(name=str(n))) for n in range(7)]
        found = await store.page(2)
        await store.delete(newest.id)  # an item of the page that was read
        await store.update(found[-1].id, {"name": "changed"})
        while page := await store.page(2, Cursor.of(found[-1])):
            found += page
            await store.create(ItemCreate(name="new"))
            await store.delete(page[-1].id)  # the item after which the next page starts
        assert [item.id for item in found[1:]] == [item.id for item in others[::-1]]
