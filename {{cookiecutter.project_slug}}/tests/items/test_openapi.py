"""The OpenAPI description matches what the service does."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from ..conftest import StartService
from ..processes import Service

PROBLEM = "application/problem+json"
NOBODY = UUID(int=0)


@pytest.fixture
def document(service: Service) -> dict[str, Any]:
    """The description, without the routes that only tests have."""
    document = service.api.get("/openapi.json").json()
    document["paths"] = {path: document["paths"][path] for path in ("/items", "/items/{item_id}")}
    assert isinstance(document, dict)
    return document


def operations(document: dict[str, Any]) -> Iterator[Any]:
    for path in document["paths"].values():
        yield from path.values()


def test_every_operation_has_a_unique_id_and_a_description(
    document: dict[str, Any],
) -> None:
    assert sorted(operation["operationId"] for operation in operations(document)) == [
        "change_item",
        "create_item",
        "delete_item",
        "list_items",
        "read_item",
    ]
    for operation in operations(document):
        assert operation["description"]
        assert operation["tags"] == ["items"]
        assert "Successful Response" not in str(operation["responses"])


def test_every_operation_describes_every_error_and_its_body(
    document: dict[str, Any],
) -> None:
    for operation in operations(document):
        answers = operation["responses"]
        failures = {status for status in answers if status == "default" or status >= "400"}
        assert failures >= {"422", "500", "503", "504", "default"}
        assert ("413" in failures) == ("requestBody" in operation)
        for status in failures:
            assert answers[status]["content"] == {
                PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}
            }
    assert "ValidationError" not in str(document)


def test_error_body_has_exactly_the_described_fields(
    start_service: StartService,
) -> None:
    service = start_service(SERVICE_MAX_BODY_BYTES=100)
    service.until_ready()
    problem = service.api.get("/openapi.json").json()["components"]["schemas"]["Problem"]
    for method, path, body, status in [
        ("GET", f"/items/{NOBODY}", "", 404),
        ("PUT", "/items", "", 405),
        ("GET", "/items/1", "", 422),
        ("POST", "/items", "x" * 101, 413),
        ("GET", "/faults/raise/ValueError", "", 500),
    ]:
        answer = service.api.request(method, path, content=body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
        assert set(problem["required"]) <= set(answer.json()) <= set(problem["properties"])


def test_405_lists_every_allowed_method(
    service: Service,
) -> None:
    for path, methods in {
        "/items": {"GET", "HEAD", "OPTIONS", "POST"},
        f"/items/{NOBODY}": {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH"},
        "/openapi.json": {"GET", "HEAD"},  # which the description does not describe
    }.items():
        answer = service.api.put(path)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == methods


def test_examples_are_valid_requests_and_responses(
    service: Service, document: dict[str, Any]
) -> None:
    def example(model: str) -> dict[str, Any]:
        fields = document["components"]["schemas"][model]["properties"]
        return {name: field.get("examples", [None])[0] for name, field in fields.items()}

    created = service.api.post("/items", json=example("ItemCreate"))
    assert created.status_code == 201
    assert created.json().keys() == example("Item").keys()
    changed = service.api.patch(created.headers["location"], json=example("ItemPatch"))
    assert changed.status_code == 200
    cursor = example("ItemPage")["next_cursor"]
    assert service.api.get("/items", params={"cursor": cursor}).status_code == 200
