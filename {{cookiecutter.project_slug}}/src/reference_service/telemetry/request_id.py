"""Give each request an id that connects its response, its log lines and its error body."""

import os
import re
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .logs import REQUEST_ID

_VALID_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_RESPONSE_STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}


class RequestId:
    """Take the client's `X-Request-ID` if it is valid, otherwise create a random one.

    The id is in the scope's state (`request.state.request_id`), in every log line of the request,
    and in the `X-Request-ID` header of the response, also of a WebSocket's handshake.

    Any client can choose an id, for example that of another request. So the state has
    `request_id_source`: "client", unless a trusted proxy sent the id, see `TrustedProxies`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request under its id."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        request_id = _sent_id(scope)
        if request_id is None:
            request_id = os.urandom(16).hex()
        elif not state.get("from_trusted_proxy"):
            state["request_id_source"] = "client"
        header = (b"x-request-id", request_id.encode())
        state["request_id"] = request_id
        REQUEST_ID.set(request_id)

        def send_with_id(message: Message) -> Awaitable[None]:
            if message["type"] in _RESPONSE_STARTS:
                message = {**message, "headers": [*message.get("headers", ()), header]}
            return send(message)

        await self.app(scope, receive, send_with_id)


def _sent_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _VALID_ID.fullmatch(value):
            return str(value, "ascii")
    return None
