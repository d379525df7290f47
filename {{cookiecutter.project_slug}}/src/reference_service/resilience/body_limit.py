"""Reject request bodies that are too large, so that the client can read why."""

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import send_problem

LINGER_TIMEOUT = 5.0
"""Maximum seconds in which the rest of a rejected body is discarded."""
LINGER_BYTES = 256 * 1024 * 1024
"""Maximum bytes of a rejected body that are discarded."""


class BodyLimit:
    """Answer 413 to a body larger than `max_bytes`, by its declared or its actual length.

    A body without a declared length is counted as it arrives. Beyond the limit the client receives
    413 at once, or an aborted response if that has started. The application sees a disconnect.

    The connection closes after the response, because the rest of the body is of no use. A server
    that closes a connection while its client still sends resets it, and a reset can destroy a
    response that the client has not read yet (RFC 9112, section 9.6). So the response is sent
    completely, then the rest of the body is discarded, and only then does the response end.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request within the limit."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = _header(scope, b"content-length")
        if length.isdigit() and int(length) > self.max_bytes:
            await self.send_rejection(scope, send)
            # A client that waits for 100 (Continue) sends no body after a final response.
            waits = _header(scope, b"expect").lower() == b"100-continue"
            await _end_response(send, None if waits else receive)
            return
        exchange = _Exchange(self, scope, receive, send)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception:
            if not exchange.rejected:  # otherwise the rejection caused the exception
                raise
        await exchange.close()

    async def send_rejection(self, scope: Scope, send: Send) -> None:
        """Send the headers and the body of the 413 response, but do not end it yet."""
        detail = f"The request body is larger than {self.max_bytes} bytes."
        headers = [(b"connection", b"close")]
        await send_problem(scope, send, 413, detail, headers, more_body=True)


class _Exchange:
    """One request whose body is counted as it arrives, and its response."""

    def __init__(self, limit: BodyLimit, scope: Scope, receive: Receive, send: Send) -> None:
        self.rejected = False
        self._limit = limit
        self._scope = scope
        self._receive = receive
        self._send = send
        self._received_bytes = 0
        self._body_complete = False
        self._response_started = False

    async def receive(self) -> Message:
        """Return the next part of the body, or a disconnect once it is too large."""
        if self.rejected:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._received_bytes += len(message.get("body", b""))
        if self._received_bytes <= self._limit.max_bytes:
            return message
        self.rejected = True
        self._body_complete = not message.get("more_body", False)
        if not self._response_started:
            await self._limit.send_rejection(self._scope, self._send)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send a part of the application's response, unless the body was rejected."""
        if not self.rejected:
            self._response_started = True
            await self._send(message)

    async def close(self) -> None:
        """End the rejection, if there was one."""
        if self.rejected and not self._response_started:
            await _end_response(self._send, None if self._body_complete else self._receive)


async def _end_response(send: Send, receive: Receive | None) -> None:
    """End a response that is sent completely, after the rest of the request was discarded."""
    if receive is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_TIMEOUT):
                discarded, more_body = 0, True
                while more_body and discarded < LINGER_BYTES:
                    message = await receive()
                    discarded += len(message.get("body", b""))
                    more_body = message.get("more_body", False)
    await send({"type": "http.response.body"})


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")
