"""Items in PostgreSQL: the table, its statements, the store, and the check of all of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Column, DateTime, Index, Named, Row, Table, Text, TypedColumns, func, tuple_
from sqlalchemy.sql.base import Executable

from ..dependencies.postgres import (
    CHECK_CONSTRAINTS,
    METADATA,
    OperationFailed,
    Postgres,
    Step,
    work_check,
)
from ..health import Check
from .cursor import Cursor
from .model import Item, ItemCreate, ItemPatch


class ItemColumns(TypedColumns):
    """The columns of items. The database sets ids and times, so all replicas share one clock."""

    id: Named[UUID] = Column(primary_key=True, server_default=func.gen_random_uuid())
    name: Named[str] = Column(Text)
    description: Named[str | None] = Column(Text)
    created_at: Named[datetime] = Column(DateTime(timezone=True), server_default=func.now())
    updated_at: Named[datetime] = Column(DateTime(timezone=True), server_default=func.now())


ITEMS = Table("items", METADATA, ItemColumns)
Index(None, ITEMS.c.created_at, ITEMS.c.id)


def insert(new: ItemCreate) -> Executable:
    """Return the statement that stores a new item, and returns it."""
    return ITEMS.insert().values(new.model_dump()).returning(ITEMS)


def select(item_id: UUID) -> Executable:
    """Return the statement that returns an item."""
    return ITEMS.select().where(ITEMS.c.id == item_id)


def select_page(limit: int, after: Cursor | None = None) -> Executable:
    """Return the statement that returns up to `limit` items, the newest first."""
    statement = ITEMS.select().order_by(ITEMS.c.created_at.desc(), ITEMS.c.id.desc())
    if after:  # one comparison, which the index supports
        statement = statement.where(tuple_(ITEMS.c.created_at, ITEMS.c.id) < after)
    return statement.limit(limit)


def update(item_id: UUID, patch: ItemPatch) -> Executable:
    """Return the statement that changes the given fields of an item, and returns it."""
    changed = ITEMS.update().where(ITEMS.c.id == item_id)
    return changed.values(**patch, updated_at=func.now()).returning(ITEMS)


def delete(item_id: UUID) -> Executable:
    """Return the statement that deletes an item."""
    return ITEMS.delete().where(ITEMS.c.id == item_id)


# Longer than most items: on a full disk it must not fit where the check's last one was.
CHECKED = ItemCreate(name="health check", description="x" * 1000)

FIRST_PAGE = 21  # rows of a page of the default size, and one more, as a request reads them


class PostgresItems:
    """An `ItemStore` in the table `items`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def create(self, new: ItemCreate) -> Item:
        [row] = await self._postgres.write(insert(new))
        return _item(row)

    async def get(self, item_id: UUID) -> Item | None:
        rows = await self._postgres.read(select(item_id))
        return _item(rows[0]) if rows else None

    async def page(self, limit: int, after: Cursor | None = None) -> list[Item]:
        return [_item(row) for row in await self._postgres.read(select_page(limit, after))]

    async def update(self, item_id: UUID, patch: ItemPatch) -> Item | None:
        if not patch:
            return await self.get(item_id)
        rows = await self._postgres.write(update(item_id, patch))
        return _item(rows[0]) if rows else None

    async def delete(self, item_id: UUID) -> None:
        await self._postgres.write(delete(item_id))


def items_check(postgres: Postgres) -> Check:
    """Return the check that items can be read and, on a primary, written."""

    async def steps(step: Step) -> None:
        async def items(name: str, statement: Executable) -> list[Item]:
            rows = await step(name, statement)
            try:
                return [_item(row) for row in rows]
            except ValidationError:  # its message contains the values
                raise OperationFailed(f"{name}: a row is not a valid item") from None

        if postgres.settings.role == "standby":
            await items("read", select_page(FIRST_PAGE))
            return
        [created] = await items("insert", insert(CHECKED))
        [created] = await items("read", select(created.id))
        await items("page", select_page(FIRST_PAGE))
        await step("update", update(created.id, {"name": "checked", "description": "checked"}))
        await step("constraints", CHECK_CONSTRAINTS)
        await step("delete", delete(created.id))

    return work_check("items", postgres, steps)


def _item(row: Row[Any]) -> Item:
    return Item.model_validate(row, from_attributes=True)
