"""A store of items in PostgreSQL: one table, and one statement per request."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime, Index, Named, Row, Table, Text, TypedColumns, func, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from ..dependencies.postgres import METADATA
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


class PostgresItems:
    """An `ItemStore` in the table `items`.

    `async with` returns the connection, whether a method returns, raises or is cancelled.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # A single read needs no BEGIN and ROLLBACK. This saves two round trips.
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def create(self, new: ItemCreate) -> Item:
        statement = ITEMS.insert().values(new.model_dump()).returning(ITEMS)
        async with self._engine.begin() as connection:
            return _item((await connection.execute(statement)).one())

    async def get(self, item_id: UUID) -> Item | None:
        statement = ITEMS.select().where(ITEMS.c.id == item_id)
        async with self._autocommit.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return _item(row) if row else None

    async def page(self, limit: int, after: Cursor | None = None) -> list[Item]:
        statement = ITEMS.select().order_by(ITEMS.c.created_at.desc(), ITEMS.c.id.desc())
        if after:  # one comparison, which the index supports
            statement = statement.where(tuple_(ITEMS.c.created_at, ITEMS.c.id) < after)
        async with self._autocommit.connect() as connection:
            return [_item(row) for row in await connection.execute(statement.limit(limit))]

    async def update(self, item_id: UUID, patch: ItemPatch) -> Item | None:
        if not patch:
            return await self.get(item_id)
        update = ITEMS.update().where(ITEMS.c.id == item_id)
        statement = update.values(**patch, updated_at=func.now()).returning(ITEMS)
        async with self._engine.begin() as connection:
            row = (await connection.execute(statement)).one_or_none()
            return _item(row) if row else None

    async def delete(self, item_id: UUID) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(ITEMS.delete().where(ITEMS.c.id == item_id))


def _item(row: Row[Any]) -> Item:
    return Item.model_validate(row, from_attributes=True)
