"""The routes of items over a store in memory."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import AsyncClient, Response

from reference_service.items import MemoryItems

from .client import client_of, items_app

CREATED = {"name": "Lamp", "description": "Brass."}


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    async with client_of(items_app(MemoryItems())) as client:
        yield client


async def create(client: AsyncClient, **fields: Any) -> Any:
    response = await client.post("/items", json=CREATED | fields)
    assert response.status_code == 201
    return response.json()


def pointers(response: Response) -> list[str]:
    """Return the JSON pointers to the errors that a 422 response reports."""
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    return [error["pointer"] for error in response.json()["errors"]]


async def test_created_item_is_found_at_its_location(client: AsyncClient) -> None:
    response = await client.post("/items", json=CREATED)
    assert response.status_code == 201
    assert (await client.get(response.headers["location"])).json() == response.json()
    assert response.json().items() >= CREATED.items()
    assert response.headers["location"] == f"/items/{UUID(response.json()['id'])}"


async def test_location_has_the_prefix_that_a_proxy_strips() -> None:
    async with client_of(items_app(MemoryItems()), root_path="/v1") as client:
        response = await client.post("/v1/items", json=CREATED)
        assert response.headers["location"] == f"/v1/items/{response.json()['id']}"


async def test_location_omits_the_host_that_the_client_sent(client: AsyncClient) -> None:
    response = await client.post("/items", json=CREATED, headers={"host": "evil.example"})
    assert "evil" not in str(response.headers)


async def test_times_are_rfc_3339_in_utc(client: AsyncClient) -> None:
    created = await create(client)
    assert created["created_at"].endswith("Z")
    assert created["updated_at"].endswith("Z")


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_missing_item_returns_404(client: AsyncClient, method: str) -> None:
    response = await client.request(method, f"/items/{uuid4()}", json={})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "The item does not exist."


async def test_delete_can_be_repeated(client: AsyncClient) -> None:
    item = await create(client)
    for _ in "12":
        response = await client.delete(f"/items/{item['id']}")
        assert (response.status_code, response.content) == (204, b"")
    assert (await client.get(f"/items/{item['id']}")).status_code == 404


async def test_patch_changes_only_the_given_fields(client: AsyncClient) -> None:
    item = await create(client)
    changed = (await client.patch(f"/items/{item['id']}", json={"description": None})).json()
    assert changed["updated_at"] > item["updated_at"]
    assert changed == item | {"description": None, "updated_at": changed["updated_at"]}
    assert (await client.patch(f"/items/{item['id']}", json={})).json() == changed


NAMES = ["", "  ", "x" * 201, "NUL \0", "two\nlines", "\x7f", "\ud800", None, 3, ["x"]]
DESCRIPTIONS = ["x" * 2001, "NUL \0", "\x1b[31m", "\udfff", 3]


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", name) for name in NAMES]
    + [("description", description) for description in DESCRIPTIONS]
    + [("color", "red"), ("id", str(UUID(int=1)))],
)
async def test_invalid_field_is_reported_by_name(
    client: AsyncClient, field: str, value: object
) -> None:
    item = await create(client)
    body = json.dumps(CREATED | {field: value})
    headers = {"content-type": "application/json"}
    created = await client.post("/items", content=body, headers=headers)
    changed = await client.patch(f"/items/{item['id']}", content=body, headers=headers)
    assert pointers(created) == pointers(changed) == [f"#/{field}"]
    assert (await client.get("/items")).json()["items"] == [item]


async def test_spaces_around_a_name_are_removed_but_not_in_a_description(
    client: AsyncClient,
) -> None:
    item = await create(client, name=" \tLamp\n", description=" 1\r\n\t2 ")
    assert (item["name"], item["description"]) == ("Lamp", " 1\r\n\t2 ")
    assert (await create(client, name="\N{PILE OF POO}" * 200))["name"] == "\N{PILE OF POO}" * 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b"\xff", b"[" * 100_000, b'{"\\ud800": 1}']
)
async def test_malformed_body_is_a_client_error(client: AsyncClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = await client.post("/items", content=body, headers=headers)
    assert response.status_code in {400, 422}
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("item_id", ["1", "%00", "..%2f..", "'--", "\N{SNOWMAN}"])
async def test_malformed_id_is_rejected(client: AsyncClient, item_id: str) -> None:
    assert (await client.get(f"/items/{item_id}")).status_code in {404, 422}


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1e2", "", "9" * 5000])
async def test_limit_outside_1_to_100_is_rejected(client: AsyncClient, limit: str) -> None:
    response = await client.get("/items", params={"limit": limit})
    assert pointers(response) == ["#/query/limit"]


@pytest.mark.parametrize("cursor", ["", "x", "%00", "_" * 31, "_" * 33, "+" * 32])
async def test_malformed_cursor_is_rejected(client: AsyncClient, cursor: str) -> None:
    response = await client.get("/items", params={"cursor": cursor})
    assert pointers(response) == ["#/query/cursor"]


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 100])
async def test_next_cursors_lead_to_each_item_once(client: AsyncClient, limit: int) -> None:
    created = [await create(client, name=str(n)) for n in range(5)]
    found, query, pages = [], {"limit": str(limit)}, 0
    while query:
        page = (await client.get("/items", params=query)).json()
        pages += 1
        found += page["items"]
        query = {**query, "cursor": page["next_cursor"]} if page["next_cursor"] else {}
    assert found == created[::-1]
    assert pages == -(-5 // limit)


async def test_empty_list_is_the_last_page(client: AsyncClient) -> None:
    assert (await client.get("/items")).json() == {"items": [], "next_cursor": None}


async def test_invented_cursor_leads_to_an_end_of_the_list(client: AsyncClient) -> None:
    item = await create(client)
    for cursor, found in {"f" + "_" * 31: [item], "g" + "A" * 31: []}.items():
        answer = await client.get("/items", params={"cursor": cursor})
        assert answer.json() == {"items": found, "next_cursor": None}
