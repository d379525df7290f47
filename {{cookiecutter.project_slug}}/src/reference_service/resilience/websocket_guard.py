"""Limit, time out and recover WebSockets. Everything else passes through."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from math import inf

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from .adaptive_limit import AdaptiveLimit
from .concurrency_limit import REJECTED
from .problem import send_problem
from .recovery import is_cancellation

log = logging.getLogger(__name__)

# Close codes (RFC 6455, section 7.4.1, and the registry of IANA)
NORMAL, INTERNAL_ERROR, SERVICE_RESTART, TRY_AGAIN_LATER = 1000, 1011, 1012, 1013
TOO_MANY = "The service has too many open WebSockets."
UNAVAILABLE = {503, 504}  # statuses that mean "try again"


class WebSocketGuard:
    """Do for WebSockets what the other layers do for requests.

    Until a WebSocket is accepted, its handshake is like a request: at the limit it is answered 503,
    after `seconds` 504, and after an exception 500. It holds a slot of the limit for that time
    only: an open WebSocket can last for days, and would otherwise take the place of requests.

    After it is accepted, an exception closes it with 1011. An error response of the application,
    for example to an exception that it handles, closes it with 1013 if it is 503 or 504, otherwise
    with 1011. A handler that returns closes it with 1000. A client that has left is not an error.

    At most `max_open` are open: more handshakes are answered 503, and `on_reject` is called.

    A server without the ASGI extension `websocket.http.response` answers 403 to what is rejected.

    on_timeout: called for each 504. on_error: called for each WebSocket whose handler failed.
    """

    def __init__(  # noqa: PLR0913 - all that it needs
        self,
        app: ASGIApp,
        *,
        limit: AdaptiveLimit,
        seconds: float,
        max_open: float = inf,
        on_timeout: Callable[[], None] = lambda: None,
        on_error: Callable[[], None] = lambda: None,
        on_reject: Callable[[], None] = lambda: None,
    ) -> None:
        self.app, self.limit, self.seconds, self.max_open = app, limit, seconds, max_open
        self.on_timeout, self.on_error, self.on_reject = on_timeout, on_error, on_reject
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one WebSocket, or reject it."""
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        connection = _Connection(scope, send)
        too_many = self._open >= self.max_open
        if too_many or not self.limit.admits(time.monotonic()):
            if too_many:
                self.on_reject()
            reason = "websocket_limit" if too_many else "concurrency_limit"
            scope.setdefault("state", {})["rejected"] = reason
            await connection.end(503, TOO_MANY if too_many else REJECTED, [(b"retry-after", b"1")])
            return
        self._open += 1
        self.limit.in_flight += 1
        error: BaseException | None = None
        try:
            async with asyncio.timeout(self.seconds) as handshake:

                def on_answer() -> None:
                    self.limit.in_flight -= 1
                    if not handshake.expired():
                        handshake.reschedule(None)

                connection.on_answer = on_answer
                await self.app(scope, receive, connection.send)
        except GeneratorExit:  # the event loop discards this connection
            raise
        except BaseException as raised:
            error = raised
        finally:
            self._open -= 1
            if not connection.answered:
                self.limit.in_flight -= 1
        if handshake.expired():
            self.on_timeout()
            log.warning("request timed out", extra={"path": scope["path"], "after": self.seconds})
            await connection.end(504, f"The service did not answer within {self.seconds:g} s.")
        else:
            await self._end(error, scope, connection)

    async def _end(
        self, error: BaseException | None, scope: Scope, connection: "_Connection"
    ) -> None:
        """End a connection whose handler has returned, or raised an error."""
        if error is None and connection.answered:
            await connection.close(NORMAL)
        elif error is not None and is_cancellation(error):  # the server's shutdown
            await connection.end(503, "The service is shutting down.", code=SERVICE_RESTART)
            raise error
        elif error is None or not _has_client_left(error):
            if error is None:
                error = RuntimeError("the application returned before it accepted the WebSocket")
            self.on_error()
            log.error("websocket failed", extra={"path": scope["path"]}, exc_info=error)
            await connection.end(500, "The service failed to handle the request.")


class _Connection:
    """What the client of one WebSocket was sent. answered: whether the handshake has ended."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self.on_answer: Callable[[], None] = lambda: None
        self.answered = self._accepted = self._closed = False

    async def send(self, message: Message) -> None:
        """Send a message. An error response to a WebSocket that is open closes it instead."""
        if self._accepted and message["type"].startswith("websocket.http.response."):
            if message["type"].endswith("start"):
                unavailable = message["status"] in UNAVAILABLE
                await self.close(TRY_AGAIN_LATER if unavailable else INTERNAL_ERROR)
            return
        if not self.answered:
            self.answered = True
            self.on_answer()
        self._accepted = self._accepted or message["type"] == "websocket.accept"
        self._closed = self._closed or message["type"] == "websocket.close"
        await self._send(message)

    async def close(self, code: int) -> None:
        """Close an accepted WebSocket, unless it is closed."""
        if self._accepted and not self._closed:
            self._closed = True
            with contextlib.suppress(OSError, RuntimeError):  # the client may have left
                await self._send({"type": "websocket.close", "code": code})

    async def end(
        self,
        status: int,
        detail: str,
        headers: list[tuple[bytes, bytes]] | None = None,
        code: int = INTERNAL_ERROR,
    ) -> None:
        """Close an accepted WebSocket with a code, or answer the handshake with an error."""
        if self._accepted:
            await self.close(code)
        elif self.answered:
            return
        elif "websocket.http.response" not in (self._scope.get("extensions") or {}):
            await self._send({"type": "websocket.close"})
        else:

            async def send_denial(message: Message) -> None:
                await self._send({**message, "type": f"websocket.{message['type']}"})

            with contextlib.suppress(OSError):
                await send_problem(self._scope, send_denial, status, detail, headers or ())


def _has_client_left(error: BaseException) -> bool:
    """Return whether an error says only that the client has left, in each task of the handler."""
    left = WebSocketDisconnect, ClientDisconnect
    if isinstance(error, BaseExceptionGroup):
        return error.split(left)[1] is None
    return isinstance(error, left)
