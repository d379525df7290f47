"""Reject request bodies that are too large, each or together, so that the client can read why."""

import asyncio
import contextlib
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import send_problem

SMALL_BODY = 16 * 1024  # bytes; up to this size, a body reserves nothing
BODIES = 64  # bodies of the maximum size that are in memory at the same time, by default
LINGER_TIMEOUT = 5.0  # maximum seconds in which the rest of a rejected body is discarded
LINGER_BYTES = 256 * 1024 * 1024  # maximum bytes of it that are discarded


class BodyLimit:
    """Answer 413 to a body that is too large, and 503 if all bodies together are too large.

    A declared length is reserved before the application sees the request, so that no work is lost.
    Any other body reserves what has arrived. Beyond a limit the client receives the error at once,
    or an aborted response if that has started, and the application sees a disconnect. Reservations
    last until the application returns, because most applications hold the whole body.

    Then the rest of the body is discarded before the response ends and the connection closes. A
    reset could destroy a response that the client has not read yet (RFC 9112, section 9.6).

    max_bytes, max_total_bytes: of one body, and of all. The default is `BODIES` times `max_bytes`.
    on_reject: called for each 503. `scope["state"]["rejected"]` is "body_memory" then.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        max_total_bytes: int | None = None,
        on_reject: Callable[[], None] = lambda: None,
    ) -> None:
        self.app, self.on_reject = app, on_reject
        self.max_bytes = max_bytes
        self.small_bytes = min(SMALL_BODY, max_bytes)
        self.free_bytes = BODIES * max_bytes if max_total_bytes is None else max_total_bytes
        if self.free_bytes < max_bytes:
            raise ValueError("max_total_bytes must not be less than max_bytes")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request within the limits."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = _declared_length(scope)
        if length is None:
            await self._count_body(scope, receive, send)
        elif length <= self.small_bytes:
            await self.app(scope, receive, send)
        elif status := self._reserve(scope, length):
            await self._send_rejection(scope, send, status)
            # A client that waits for 100 (Continue) sends no body after a final response.
            expects = (value.lower() for name, value in scope["headers"] if name == b"expect")
            await _end_response(send, None if b"100-continue" in expects else receive)
        else:
            try:
                await self.app(scope, receive, send)
            finally:
                self.free_bytes += length

    async def _count_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_bytes = reserved_bytes = 0
        body_complete = response_started = rejected = returned = False

        async def receive_counted() -> Message:
            nonlocal received_bytes, reserved_bytes, body_complete, rejected
            if rejected:
                return {"type": "http.disconnect"}
            message = await receive()
            received_bytes += len(message.get("body", b""))
            exempt = received_bytes <= self.small_bytes or returned  # tasks can go on
            status = 0 if exempt else self._reserve(scope, received_bytes, reserved_bytes)
            if not status:
                reserved_bytes = reserved_bytes if exempt else received_bytes
                return message
            rejected, body_complete = True, not message.get("more_body", False)
            if not response_started:
                await self._send_rejection(scope, send, status)
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
        finally:
            returned = True
            self.free_bytes += reserved_bytes
        if rejected and not response_started:
            await _end_response(send, None if body_complete else receive)

    def _reserve(self, scope: Scope, size: int, reserved: int = 0) -> int:
        """Reserve `size` bytes, of which some are reserved. Return 0, or the status of an error."""
        if size > self.max_bytes:
            return 413
        if size - reserved > self.free_bytes:
            scope.setdefault("state", {})["rejected"] = "body_memory"
            self.on_reject()
            return 503
        self.free_bytes -= size - reserved
        return 0

    async def _send_rejection(self, scope: Scope, send: Send, status: int) -> None:
        """Send the headers and the body of an error, but do not end the response yet."""
        detail = f"The request body is larger than {self.max_bytes} bytes."
        headers = [(b"connection", b"close")]
        if status == 503:  # noqa: PLR2004
            detail = "The service is handling too many large bodies; try again."
            headers.append((b"retry-after", b"1"))
        await send_problem(scope, send, status, detail, headers, more_body=True)


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
