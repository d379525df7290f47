"""The routes of items."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request, Response

from .cursor import CURSOR, Cursor
from .model import Item, ItemCreate, ItemPage, ItemPatch
from .store import ItemStore

LIMIT = Query(ge=1, le=100, description="Maximum number of items per page.")
CURSOR_QUERY = Query(
    pattern=CURSOR.pattern,
    description="`next_cursor` of the previous page. Omit it for the first page.",
)
LOCATION = {"description": "The path of the new item.", "schema": {"type": "string"}}
CREATED: dict[str, Any] = {"description": "The new item.", "headers": {"Location": LOCATION}}
FOUND: dict[str, Any] = {"description": "The item in its current state."}
NOT_FOUND: dict[str, Any] = {"description": "The item does not exist."}


def items_router(store: ItemStore) -> APIRouter:
    """Return the routes that read and write the items of a store."""
    router = APIRouter(prefix="/items", tags=["items"])

    @router.post("", status_code=201, responses={201: CREATED})
    async def create_item(new: ItemCreate, request: Request, response: Response) -> Item:
        """Create an item. The `Location` header has its path."""
        item = await store.create(new)
        # The path alone, because a client can send any host.
        response.headers["location"] = request.url_for("read_item", item_id=item.id).path
        return item

    @router.get("/{item_id}", responses={200: FOUND, 404: NOT_FOUND})
    async def read_item(item_id: UUID) -> Item:
        """Read one item."""
        return _require(await store.get(item_id))

    @router.get("", response_description="One page of items.")
    async def list_items(
        limit: Annotated[int, LIMIT] = 20, cursor: Annotated[str | None, CURSOR_QUERY] = None
    ) -> ItemPage:
        """List items, the newest first.

        Items that are created or deleted between two pages neither repeat nor hide other items.
        """
        after = Cursor.parse(cursor) if cursor is not None else None
        items = await store.page(limit + 1, after)  # one more shows whether there is a next page
        next_cursor = Cursor.of(items[limit - 1]).encode() if len(items) > limit else None
        return ItemPage(items=items[:limit], next_cursor=next_cursor)

    @router.patch("/{item_id}", responses={200: FOUND, 404: NOT_FOUND})
    async def change_item(item_id: UUID, patch: ItemPatch) -> Item:
        """Change the given fields of an item. The other fields keep their values."""
        return _require(await store.update(item_id, patch))

    @router.delete("/{item_id}", status_code=204, response_description="The item no longer exists.")
    async def delete_item(item_id: UUID) -> None:
        """Delete an item if it exists.

        The response is the same if it did not exist. A client that lost the first response can
        therefore send the request again.
        """
        await store.delete(item_id)

    return router


def _require(item: Item | None) -> Item:
    if item is None:
        raise HTTPException(404, "The item does not exist.")
    return item
