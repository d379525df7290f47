"""The routes of items."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request, Response

from .cursor import CURSOR, Cursor
from .model import Item, ItemCreate, ItemPage, ItemPatch
from .store import ItemStore

LOCATION = {"description": "The path of the new item.", "schema": {"type": "string"}}
CREATED: dict[str, Any] = {"description": "The new item.", "headers": {"Location": LOCATION}}
FOUND: dict[str, Any] = {"description": "The item as it is now."}
MISSING: dict[str, Any] = {"description": "There is no such item."}


def items_router(store: ItemStore) -> APIRouter:
    """Return the routes over a store."""
    router = APIRouter(prefix="/items", tags=["items"])

    @router.post("", status_code=201, responses={201: CREATED})
    async def create_item(new: ItemCreate, request: Request, response: Response) -> Item:
        """Create an item. `Location` says where it is."""
        item = await store.create(new)
        # The path alone: the host in a request is whatever the client says.
        response.headers["location"] = request.url_for("read_item", item_id=item.id).path
        return item

    @router.get("/{item_id}", responses={200: FOUND, 404: MISSING})
    async def read_item(item_id: UUID) -> Item:
        """Read one item."""
        return _found(await store.get(item_id))

    @router.get("", response_description="A page of items.")
    async def list_items(
        limit: Annotated[int, Query(ge=1, le=100, description="Items a page has at most.")] = 20,
        cursor: Annotated[
            str | None,
            Query(
                pattern=CURSOR.pattern,
                description="`next_cursor` of the page before; none for the first.",
            ),
        ] = None,
    ) -> ItemPage:
        """List items, the newest first.

        Items that are created or deleted meanwhile neither repeat others nor hide them.
        """
        after = Cursor.parse(cursor) if cursor is not None else None
        items = await store.page(limit + 1, after)  # the one more tells whether this page is last
        more = len(items) > limit
        items = items[:limit]
        return ItemPage(items=items, next_cursor=Cursor.of(items[-1]).encode() if more else None)

    @router.patch("/{item_id}", responses={200: FOUND, 404: MISSING})
    async def change_item(item_id: UUID, patch: ItemPatch) -> Item:
        """Change the given fields of an item; the others stay as they are."""
        return _found(await store.update(item_id, patch))

    @router.delete("/{item_id}", status_code=204, response_description="There is none.")
    async def delete_item(item_id: UUID) -> None:
        """Delete an item.

        Afterwards there is none, so the answer is the same when there was none before: a client
        that lost the first answer may ask again.
        """
        await store.delete(item_id)

    return router


def _found(item: Item | None) -> Item:
    if item is None:
        raise HTTPException(404, "There is no such item.")
    return item
