"""Serve the OpenAPI description, with the error responses that every route can give."""

from typing import Any

from fastapi import FastAPI

from ..resilience.problem import MEDIA_TYPE


def _text(example: str, **more: str) -> dict[str, Any]:
    return {"type": "string", **more, "examples": [example]}


FIELD_ERROR = {
    "type": "object",
    "required": ["pointer", "detail"],
    "properties": {
        "pointer": _text("#/name", description="A JSON pointer into the body, as a URI fragment."),
        "detail": _text("String should have at least 1 character"),
    },
}
PROBLEM = {
    "title": "Problem",
    "description": "An error, as RFC 9457 describes it.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": _text("about:blank"),
        "title": _text("Unprocessable Entity"),
        "status": {"type": "integer", "examples": [422]},
        "detail": _text("The request is not valid."),
        "request_id": _text(
            "9f2c4be1d7a84c0f9f0e6d3b5a7c1e42",
            description="The id of the request in the service's log.",
        ),
        "errors": {
            "description": "Only with 422: every error of the request.",
            "type": "array",
            "items": FIELD_ERROR,
        },
    },
}
BODY = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}
}
API_DESCRIPTION = (
    f"Every error response has the type `{MEDIA_TYPE}` (RFC 9457). Its `request_id` is the "
    "`X-Request-ID` of the response, and stands in each line that the request logged."
)


def add_docs(app: FastAPI) -> None:
    """Add `/openapi.json` and its pages, behind the routes that the application has.

    FastAPI adds them first. But a request is compared with one route after another, and these four
    take a twentieth of the CPU time of a simple request.
    """
    app.openapi_url = "/openapi.json"
    app.setup()


def add_error_responses(app: FastAPI) -> None:
    """Add the error responses of every route to an application's OpenAPI description.

    A route describes only its own: `responses={404: {"description": "…"}}`.
    """
    describe = app.openapi

    def describe_with_errors() -> dict[str, Any]:
        document = describe()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" not in schemas:  # FastAPI returns the same document each time
            schemas["Problem"] = PROBLEM
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path in document["paths"].values():
                for operation in path.values():
                    _add_problems(operation)
        return document

    # The way that FastAPI's documentation describes under "Extending OpenAPI".
    app.openapi = describe_with_errors  # type: ignore[method-assign]


def _add_problems(operation: dict[str, Any]) -> None:
    """Add the errors that an operation can answer like any other, each with a problem body."""
    responses = operation["responses"]
    if "requestBody" in operation:
        responses["413"] = {"description": "The body is larger than the service accepts."}
    if "422" in responses:
        responses["422"] = {"description": "The request is invalid; `errors` lists every error."}
    responses["500"] = {"description": "The service failed to handle the request."}
    description = "A dependency is unavailable, or the service is at its limit."
    responses["503"] = {"description": description, "headers": RETRY_AFTER}
    responses["504"] = {"description": "The service or a dependency did not respond in time."}
    responses["default"] = {"description": "Any other error."}
    for status, response in responses.items():
        if status == "default" or status >= "400":
            response["content"] = BODY
