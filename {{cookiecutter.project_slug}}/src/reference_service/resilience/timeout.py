"""Answers 504 when the application has not begun to answer in time."""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import send_problem

log = logging.getLogger(__name__)


class Timeout:
    """Bounds the time to the first byte; a response that has begun runs on.

    seconds: what the application may take to begin. When they are over the client is answered at
    once and the application's task is cancelled. Drivers may swallow the cancellation or take
    seconds to clean up: the client does not wait for that, and what the application still sends
    is dropped. A `TimeoutError` of the application's own is not ours to answer.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request against the clock."""
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self.app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        answer: asyncio.Task[None] | None = None

        def expire() -> None:
            nonlocal answer
            log.warning("request timed out", extra={"path": scope["path"], "after": self.seconds})
            detail = f"The service did not begin to answer within {self.seconds:g} s."
            answer = loop.create_task(send_problem(scope, send, 504, detail))
            task.cancel()

        async def until_expired(message: Message) -> None:
            if answer is None:
                timer.cancel()
                await send(message)

        timer = loop.call_later(self.seconds, expire)
        try:
            await self.app(scope, receive, until_expired)
        except asyncio.CancelledError:
            if answer is None:
                raise
        finally:
            timer.cancel()
        if answer is not None:
            if task.uncancel() > 0:
                raise asyncio.CancelledError  # somebody else, such as the shutdown, wants it too
            await answer
