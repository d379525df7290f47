"""Answer 504 if the application does not start a response in time, 408 if the body is late."""

import asyncio
import logging
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import send_problem

log = logging.getLogger(__name__)


class Timeout:
    """Bound the time to the first byte; a response that has started continues.

    seconds: how long the application may take to start its response. Then the client is answered
        at once, and the application's task is cancelled. Drivers may swallow the cancellation or
        take seconds to clean up: the client does not wait for that, and what the application still
        sends is dropped. A `TimeoutError` that the application raises itself is not handled here.

    If the application is waiting for the body, the answer is 408 (RFC 9110, section 15.5.9): a
    client that sends slowly must not look like a service that fails.

    on_timeout: called for each 504.
    """

    def __init__(
        self, app: ASGIApp, *, seconds: float, on_timeout: Callable[[], None] = lambda: None
    ) -> None:
        self.app = app
        self.seconds = seconds
        self.on_timeout = on_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request within its time."""
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self.app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        answer: asyncio.Task[None] | None = None
        waits_for_body, body_complete = False, False

        def expire() -> None:
            nonlocal answer
            respond = self._answer_late_body if waits_for_body else self._answer_timeout
            answer = loop.create_task(respond(scope, send))
            task.cancel()

        async def receive_watched() -> Message:
            nonlocal waits_for_body, body_complete
            waits_for_body = not body_complete
            try:
                message = await receive()
            finally:
                waits_for_body = False
            body_complete = not message.get("more_body", False)
            return message

        async def send_unless_expired(message: Message) -> None:
            if answer is None:
                timer.cancel()
                await send(message)

        timer = loop.call_later(self.seconds, expire)
        try:
            await self.app(scope, receive_watched, send_unless_expired)
        except BaseException as error:
            if answer is None:
                raise
            _log_error_after_timeout(error, scope)
        finally:
            timer.cancel()
        if answer is not None:
            if task.uncancel() > 0:
                raise asyncio.CancelledError  # the server's shutdown cancels this task as well
            await answer

    async def _answer_timeout(self, scope: Scope, send: Send) -> None:
        self.on_timeout()
        log.warning("request timed out", extra={"path": scope["path"], "after": self.seconds})
        detail = f"The service did not start a response within {self.seconds:g} s."
        await send_problem(scope, send, 504, detail)

    async def _answer_late_body(self, scope: Scope, send: Send) -> None:
        detail = f"The request body did not arrive within {self.seconds:g} s."
        await send_problem(scope, send, 408, detail, [(b"connection", b"close")])


def _log_error_after_timeout(error: BaseException, scope: Scope) -> None:
    """Log what the application raised instead of the cancellation. The client has its 504."""
    if not isinstance(error, asyncio.CancelledError):
        extra = {"path": scope["path"]}
        log.warning("request failed after its timeout", extra=extra, exc_info=error)
