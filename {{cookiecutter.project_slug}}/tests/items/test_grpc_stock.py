"""The stock of an item: what clients get while the service that counts it works or fails."""

import time
from collections.abc import AsyncIterator, Iterator
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from dev.grpc import Downstream

from reference_service.api import add_error_handlers, add_error_responses
from reference_service.dependencies.grpc import Grpc, GrpcSettings
from reference_service.items.stock import DEADLINE, stock_router

from .client import client_of

ITEM = UUID(int=1)
SLACK = 0.5


@pytest.fixture(scope="module")
def downstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downstream]:
    with Downstream(tmp_path_factory.mktemp("downstream")) as server:
        yield server


@pytest.fixture
async def client(downstream: Downstream) -> AsyncIterator[AsyncClient]:
    grpc = Grpc(GrpcSettings(targets=downstream.url))  # type: ignore[arg-type]
    app = FastAPI()
    app.include_router(stock_router(grpc))
    add_error_responses(app)
    add_error_handlers(app, grpc.unavailable_errors, grpc.timeout_errors)
    async with client_of(app) as http:
        yield http
    await grpc.close()


async def test_stock_is_what_the_other_service_counts(client: AsyncClient) -> None:
    responses = [await client.get(f"/items/{id_}/stock") for id_ in (ITEM, ITEM, uuid4())]
    assert {response.status_code for response in responses} == {200}
    first, again, _ = (response.json() for response in responses)
    assert first == again
    assert 0 <= first["quantity"] < 100


async def test_invalid_id_is_rejected(client: AsyncClient) -> None:
    assert (await client.get("/items/1/stock")).status_code == 422


@pytest.mark.parametrize("status", ["NOT_SERVING", "UNAVAILABLE"])
async def test_service_that_does_not_serve_is_answered_503_at_once(
    client: AsyncClient, downstream: Downstream, status: str
) -> None:
    downstream.set_status(status)
    try:
        started = time.monotonic()
        response = await client.get(f"/items/{ITEM}/stock")
        assert time.monotonic() - started < SLACK
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    finally:
        downstream.set_status("SERVING")
    assert (await client.get(f"/items/{ITEM}/stock")).status_code == 200


async def test_service_that_is_away_is_answered_503_at_once(
    client: AsyncClient, downstream: Downstream
) -> None:
    assert (await client.get(f"/items/{ITEM}/stock")).status_code == 200
    downstream.kill()
    try:
        for _ in range(3):
            started = time.monotonic()
            response = await client.get(f"/items/{ITEM}/stock")
            assert time.monotonic() - started < SLACK
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    finally:
        downstream.start()


async def test_frozen_service_is_answered_504_after_the_deadline(
    client: AsyncClient, downstream: Downstream
) -> None:
    downstream.pause()
    try:
        started = time.monotonic()
        response = await client.get(f"/items/{ITEM}/stock")
        assert DEADLINE - 0.1 < time.monotonic() - started < DEADLINE + SLACK
        assert response.status_code == 504
        assert response.headers["content-type"] == "application/problem+json"
    finally:
        downstream.resume()
    assert (await client.get(f"/items/{ITEM}/stock")).status_code == 200


async def test_openapi_describes_the_route(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    operation = paths["/items/{item_id}/stock"]["get"]
    assert operation["tags"] == ["items"]
    assert operation["description"]
    assert set(operation["responses"]) >= {"200", "422", "500", "503", "504"}
    assert "Successful Response" not in str(operation["responses"])
