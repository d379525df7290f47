"""The API of items, called in this process."""

from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from starlette.types import ASGIApp

from reference_service.api import (
    add_error_handlers,
    add_error_responses,
)
from reference_service.items import ItemStore, items_router


def items_app(store: ItemStore) -> FastAPI:
    """Return the routes over a store, with the service's error responses."""
    app = FastAPI()
    app.include_router(items_router(store))
    add_error_responses(app)
    add_error_handlers(app, ())
    return app


def client_of(app: ASGIApp, root_path: str = "") -> AsyncClient:
    """Return a client of an application, to be used with `async with`."""
    return AsyncClient(transport=ASGITransport(app, root_path=root_path), base_url="http://service")
