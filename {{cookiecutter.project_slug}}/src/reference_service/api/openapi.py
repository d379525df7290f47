"""Completes the API's description with what any route may answer instead of its own answer."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from ..resilience.problem import MEDIA_TYPE

TEXT = {"type": "string"}
PROBLEM = {
    "title": "Problem",
    "description": "Why there is no other answer, by RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": TEXT | {"examples": ["about:blank"]},
        "title": TEXT | {"examples": ["Unprocessable Entity"]},
        "status": {"type": "integer", "examples": [422]},
        "detail": TEXT | {"examples": ["The request is not valid."]},
        "request_id": TEXT
        | {
            "description": "Names the request in the service's log.",
            "examples": ["9f2c4be1d7a84c0f9f0e6d3b5a7c1e42"],
        },
        "errors": {
            "description": "With 422 alone: everything that is wrong with the request, at once.",
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": TEXT | {"examples": ["body.name"]},
                    "detail": TEXT | {"examples": ["String should have at least 1 character"]},
                },
            },
        },
    },
}
BODY = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}
}
ABOUT = (
    f"Whatever is refused or fails is answered with `{MEDIA_TYPE}` (RFC 9457). Its `request_id`, "
    "which is every answer's `X-Request-ID` too, is in each line that the request logged."
)


def complete(app: FastAPI) -> None:
    """Have an application's description tell of refusals and failures on every route.

    A route itself names what only it refuses, and why: `responses={404: {"description": "…"}}`.
    """
    describe = app.openapi

    def completed() -> dict[str, Any]:
        document = describe()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" not in schemas:  # FastAPI keeps what it has described once
            schemas["Problem"] = PROBLEM
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path in document["paths"].values():
                for operation in path.values():
                    _add_problems(operation)
        return document

    # How FastAPI's documentation has it done.
    app.openapi = completed  # type: ignore[method-assign]


def _add_problems(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    for status, response in _common(operation):
        responses[status] = response
    for status, response in responses.items():
        if status == "default" or status >= "400":
            response["content"] = BODY


def _common(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is answered wherever it was asked, by status code."""
    if "requestBody" in operation:
        yield "413", {"description": "The body is larger than the service takes."}
    if "422" in operation["responses"]:
        yield "422", {"description": "The request is not valid: `errors` says where."}
    yield "500", {"description": "The service failed to handle the request."}
    yield (
        "503",
        {
            "description": "A dependency is away, or too much is asked at once: try again.",
            "headers": RETRY_AFTER,
        },
    )
    yield "504", {"description": "The service did not begin to answer in time."}
    yield "default", {"description": "Any other refusal."}
