"""Write error bodies: application/problem+json, RFC 9457."""

import http.client
import json
from collections.abc import Iterable

from starlette.types import Scope, Send

MEDIA_TYPE = "application/problem+json"
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


def problem_body(scope: Scope, status: int, detail: str, **extensions: object) -> bytes:
    """Return the body for a status code, with `request_id` if the scope's state has one."""
    body = {
        "type": "about:blank",
        "title": http.client.responses.get(status, "Error"),
        "status": status,
        "detail": detail,
        **extensions,
    }
    request_id = scope.get("state", {}).get("request_id")
    if request_id:
        body["request_id"] = request_id
    return _encode(body).encode()


async def send_problem(  # noqa: PLR0913 - the parts of a response
    scope: Scope,
    send: Send,
    status: int,
    detail: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    more_body: bool = False,
) -> None:
    """Send an error response. more_body: whether the caller ends it, with an empty message."""
    body = problem_body(scope, status, detail)
    length = (b"content-length", str(len(body)).encode())
    headers = [(b"content-type", MEDIA_TYPE.encode()), length, *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": more_body})
