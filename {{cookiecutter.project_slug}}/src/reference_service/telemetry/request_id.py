"""Give each request an id that connects its response, its log lines and its error body."""

import itertools
import os
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .logs import REQUEST_ID

_VALID_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class RequestId:
    """Take the client's `X-Request-ID` if it is valid, otherwise create one.

    The id is in the scope's state (`request.state.request_id`), in every log line of the request,
    and in the `X-Request-ID` header of the response.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._prefix = os.urandom(8).hex()
        self._numbers = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request under its id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _client_id(scope) or f"{self._prefix}{next(self._numbers):016x}"
        header = (b"x-request-id", request_id.encode())
        scope.setdefault("state", {})["request_id"] = request_id
        REQUEST_ID.set(request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        await self.app(scope, receive, send_with_id)


def _client_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _VALID_ID.fullmatch(value):
            return str(value, "ascii")
    return None
