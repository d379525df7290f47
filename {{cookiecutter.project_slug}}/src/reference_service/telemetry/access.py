"""Gives each request an id, and one log line."""

import logging
import os
import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .logs import REQUEST_ID

log = logging.getLogger(__name__)

SERVER_ERROR = 500
_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class AccessLog:
    """Takes the client's `X-Request-ID` if it is sane, else makes one, and answers with it.

    The id is in the scope's state (`request.state.request_id`), in every log line of the request
    and in its response. slow: seconds beyond which a request's line is a warning.
    """

    def __init__(self, app: ASGIApp, *, slow: float) -> None:
        self.app = app
        self.slow = slow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request and log it when it is over, however that was."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _given_id(scope) or os.urandom(16).hex().encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        REQUEST_ID.set(request_id.decode())
        started = time.perf_counter()
        status = 0

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", request_id)]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self.app(scope, receive, tagged)
        finally:
            took = time.perf_counter() - started
            level = logging.WARNING if status >= SERVER_ERROR or took > self.slow else logging.INFO
            facts = {
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "duration_ms": round(took * 1000, 1),
            }
            log.log(level, "request", extra=facts)


def _given_id(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return bytes(value)
    return None
