"""Items in PostgreSQL: one table, and one statement a request."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    DateTime,
    Index,
    MetaData,
    Named,
    Row,
    Table,
    Text,
    TypedColumns,
    func,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from .cursor import Cursor
from .model import Item, ItemCreate, ItemPatch

# Constraints are called what PostgreSQL itself would call them, so migrations can name them.
METADATA = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)


class ItemColumns(TypedColumns):
    """The columns of items. Ids and times are the database's: one clock for every replica."""

    id: Named[UUID] = Column(primary_key=True, server_default=func.gen_random_uuid())
    name: Named[str] = Column(Text)
    description: Named[str | None] = Column(Text)
    created_at: Named[datetime] = Column(DateTime(timezone=True), server_default=func.now())
    updated_at: Named[datetime] = Column(DateTime(timezone=True), server_default=func.now())


ITEMS = Table("items", METADATA, ItemColumns)
Index(None, ITEMS.c.created_at, ITEMS.c.id)


class PostgresItems:
    """An `ItemStore` over the table `items`.

    A connection is the pool's again when a method ends, however it ends: `async with` sees to it.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # A single statement that reads needs no BEGIN and ROLLBACK around it: two trips saved.
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def create(self, new: ItemCreate) -> Item:
        """Keep a new item."""
        statement = ITEMS.insert().values(new.model_dump()).returning(ITEMS)
        async with self._engine.begin() as connection:
            return _item((await connection.execute(statement)).one())

    async def get(self, item_id: UUID) -> Item | None:
        """Return the item, or None if there is none."""
        statement = ITEMS.select().where(ITEMS.c.id == item_id)
        async with self._reading.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return _item(row) if row else None

    async def page(self, limit: int, after: Cursor | None = None) -> list[Item]:
        """Return up to `limit` items, the newest first, from the first one after a position."""
        place = tuple_(ITEMS.c.created_at, ITEMS.c.id)
        statement = ITEMS.select().order_by(ITEMS.c.created_at.desc(), ITEMS.c.id.desc())
        if after:
            statement = statement.where(place < after)  # compared as one: the index knows the place
        async with self._reading.connect() as connection:
            return [_item(row) for row in await connection.execute(statement.limit(limit))]

    async def update(self, item_id: UUID, patch: ItemPatch) -> Item | None:
        """Change the given fields, and return the item as it is now, or None if there is none."""
        if not patch:
            return await self.get(item_id)
        changed = ITEMS.update().where(ITEMS.c.id == item_id).returning(ITEMS)
        statement = changed.values(**patch, updated_at=func.now())
        async with self._engine.begin() as connection:
            row = (await connection.execute(statement)).one_or_none()
            return _item(row) if row else None

    async def delete(self, item_id: UUID) -> None:
        """See to it that there is no such item."""
        async with self._engine.begin() as connection:
            await connection.execute(ITEMS.delete().where(ITEMS.c.id == item_id))


def _item(row: Row[Any]) -> Item:
    return Item.model_validate(row, from_attributes=True)
