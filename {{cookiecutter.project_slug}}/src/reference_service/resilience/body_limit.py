"""Reject request bodies that are too large, so that the client can read why."""

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import send_problem

LINGER_TIMEOUT = 5.0  # maximum seconds in which the rest of a rejected body is discarded
LINGER_BYTES = 256 * 1024 * 1024  # maximum bytes of it that are discarded


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
        length = _declared_length(scope)
        if length is None:
            await self._count_body(scope, receive, send)
        elif length <= self.max_bytes:
            await self.app(scope, receive, send)
        else:
            await self._send_rejection(scope, send)
            # A client that waits for 100 (Continue) sends no body after a final response.
            expects = (value.lower() for name, value in scope["headers"] if name == b"expect")
            await _end_response(send, None if b"100-continue" in expects else receive)

    async def _count_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_bytes = 0
        body_complete, response_started, rejected = False, False, False

        async def receive_counted() -> Message:
            nonlocal received_bytes, body_complete, rejected
            if rejected:
                return {"type": "http.disconnect"}
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes <= self.max_bytes:
                return message
            rejected, body_complete = True, not message.get("more_body", False)
            if not response_started:
                await self._send_rejection(scope, send)
            return {"type": "http.disconnect"}

        async def send_unless_rejected(message: Message) -> None:
            nonlocal response_started
            if not rejected:
                response_started = True
                await send(message)

        try:
            await self.app(scope, receive_counted, send_unless_rejected)
        except Exception:
            if not rejected:  # otherwise the rejection caused the exception
                raise
        if rejected and not response_started:
            await _end_response(send, None if body_complete else receive)

    async def _send_rejection(self, scope: Scope, send: Send) -> None:
        """Send the headers and the body of the 413 response, but do not end it yet."""
        detail = f"The request body is larger than {self.max_bytes} bytes."
        headers = [(b"connection", b"close")]
        await send_problem(scope, send, 413, detail, headers, more_body=True)


def _declared_length(scope: Scope) -> int | None:
    """Return the length of the body, to which the server holds the client. None if unknown.

    An HTTP/1 request that declares nothing has no body (RFC 9112, section 6.3).
    """
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return None
    is_http_1 = scope.get("http_version") in ("1.0", "1.1")
    length = headers.get(b"content-length", b"0" if is_http_1 else b"")
    return int(length) if length.isdigit() else None


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
