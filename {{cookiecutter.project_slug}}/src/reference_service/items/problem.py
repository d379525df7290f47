"""How refusals look, for the API's description: application/problem+json, RFC 9457."""

from typing import Any

TEXT = {"type": "string"}

PROBLEM = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": TEXT | {"examples": ["about:blank"]},
        "title": TEXT | {"examples": ["Not Found"]},
        "status": {"type": "integer", "examples": [404]},
        "detail": TEXT | {"examples": ["There is no such item."]},
        "request_id": TEXT | {"description": "Names the request in the service's logs."},
        "errors": {
            "description": "Everything that is wrong with an invalid request, at once.",
            "type": "array",
            "items": {
                "type": "object",
                "required": ["where", "what"],
                "properties": {
                    "where": TEXT | {"examples": ["body.name"]},
                    "what": TEXT | {"examples": ["String should have at least 1 character"]},
                },
            },
        },
    },
}


def refused(description: str) -> dict[str, Any]:
    """Return an entry of a route's `responses`."""
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": PROBLEM}},
    }
