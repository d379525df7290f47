"""Answers 504 when the application does not begin to answer in time, 408 when the body is late."""

import asyncio
import logging
from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import send_problem

log = logging.getLogger(__name__)


class Timeout:
    """Bounds the time to the first byte; a response that has begun runs on.

    seconds: what the application may take to begin. When they are over the client is answered at
    once and the application's task is cancelled. Drivers may swallow the cancellation or take
    seconds to clean up: the client does not wait for that, and what the application still sends
    is dropped. A `TimeoutError` of the application's own is not ours to answer.

    If it is the body that the application waits for, the answer is 408 (RFC 9110, section 15.5.9):
    a client that sends slowly must not look like a service that fails.

    tally: counts the `http_request_timeouts` that were the service's own.
    """

    def __init__(self, app: ASGIApp, *, seconds: float, tally: Counter[str] | None = None) -> None:
        self.app = app
        self.seconds = seconds
        self.tally = Counter[str]() if tally is None else tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request against the clock."""
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self.app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        answer: asyncio.Task[None] | None = None
        waits_for_body, whole = False, False

        def expire() -> None:
            nonlocal answer
            refuse = self._refuse_client if waits_for_body else self._refuse
            answer = loop.create_task(refuse(scope, send))
            task.cancel()

        async def watched() -> Message:
            nonlocal waits_for_body, whole
            waits_for_body = not whole
            try:
                message = await receive()
            finally:
                waits_for_body = False
            whole = not message.get("more_body", False)
            return message

        async def until_expired(message: Message) -> None:
            if answer is None:
                timer.cancel()
                await send(message)

        timer = loop.call_later(self.seconds, expire)
        try:
            await self.app(scope, watched, until_expired)
        except asyncio.CancelledError:
            if answer is None:
                raise
        finally:
            timer.cancel()
        if answer is not None:
            if task.uncancel() > 0:
                raise asyncio.CancelledError  # somebody else, such as the shutdown, wants it too
            await answer

    async def _refuse(self, scope: Scope, send: Send) -> None:
        self.tally["http_request_timeouts"] += 1
        log.warning("request timed out", extra={"path": scope["path"], "after": self.seconds})
        detail = f"The service did not begin to answer within {self.seconds:g} s."
        await send_problem(scope, send, 504, detail)

    async def _refuse_client(self, scope: Scope, send: Send) -> None:
        detail = f"The request's body did not come within {self.seconds:g} s."
        await send_problem(scope, send, 408, detail, [(b"connection", b"close")])
