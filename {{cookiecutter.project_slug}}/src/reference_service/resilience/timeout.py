"""Answer 504 if the application does not start a response in time, 408 if the body is late."""

import asyncio
import logging
from collections.abc import Callable, Mapping

import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import send_problem

log = logging.getLogger(__name__)

THREAD_POLL_INTERVAL = 0.1  # seconds between two looks at a thread that a request waits for


class Timeout:
    """Bound the time to the first byte; a response that has started continues.

    seconds: how long the application may take to start its response. Then the client is answered
        at once, and the application's task is cancelled. Drivers may swallow the cancellation or
        take seconds to clean up: the client does not wait for that, and what the application still
        sends is dropped. A `TimeoutError` that the application raises itself is not handled here.

    A thread cannot be cancelled. A request that waits for one, because its handler is a `def`, goes
    on until the thread ends, and is cancelled then. So it keeps its place among AnyIO's threads,
    and in a limit of requests outside of this layer: hung handlers cannot pile up.

    If the application is waiting for the body, the answer is 408 (RFC 9110, section 15.5.9): a
    client that sends slowly must not look like a service that fails.

    seconds_by_path: other times, for paths that start with a prefix, for example `/reports/`.
    on_timeout: called for each 504.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        seconds: float,
        seconds_by_path: Mapping[str, float] | None = None,
        on_timeout: Callable[[], None] = lambda: None,
    ) -> None:
        self.app = app
        self.seconds = seconds
        self.seconds_by_path = seconds_by_path or {}
        self.on_timeout = on_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request within its time."""
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self.app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        seconds = self._seconds_for(scope["path"])
        timer: asyncio.TimerHandle
        answer: asyncio.Task[None] | None = None
        body = _Body(receive)

        def expire() -> None:
            nonlocal answer
            scope.setdefault("state", {})["timed_out"] = True  # the work can go on
            respond = self._answer_late_body if body.awaited else self._answer_timeout
            answer = loop.create_task(respond(scope, send, seconds))
            cancel()

        def cancel() -> None:
            nonlocal timer
            if _waits_for_thread(task):
                timer = loop.call_later(THREAD_POLL_INTERVAL, cancel)
            else:
                task.cancel()

        timer = loop.call_later(seconds, expire)

        async def send_unless_expired(message: Message) -> None:
            if answer is None:
                timer.cancel()
                await send(message)

        try:
            await self.app(scope, body.receive, send_unless_expired)
        except BaseException as error:
            if answer is None:
                raise
            _log_error_after_timeout(error, scope)
        finally:
            timer.cancel()
        if answer is not None:
            await _finish(answer, task)

    def _seconds_for(self, path: str) -> float:
        if not self.seconds_by_path:
            return self.seconds
        matches = [prefix for prefix in self.seconds_by_path if path.startswith(prefix)]
        return self.seconds_by_path[max(matches, key=len)] if matches else self.seconds

    async def _answer_timeout(self, scope: Scope, send: Send, seconds: float) -> None:
        self.on_timeout()
        log.warning("request timed out", extra={"path": scope["path"], "after": seconds})
        detail = f"The service did not start a response within {seconds:g} s."
        await send_problem(scope, send, 504, detail)

    async def _answer_late_body(self, scope: Scope, send: Send, seconds: float) -> None:
        detail = f"The request body did not arrive within {seconds:g} s."
        await send_problem(scope, send, 408, detail, [(b"connection", b"close")])


class _Body:
    """The body of a request. awaited: whether the application waits for a part of it now."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._complete = self.awaited = False

    async def receive(self) -> Message:
        self.awaited = not self._complete
        try:
            message = await self._receive()
        finally:
            self.awaited = False
        self._complete = not message.get("more_body", False)
        return message


def _waits_for_thread(task: asyncio.Task[object]) -> bool:
    """Return whether a task waits for a thread of AnyIO, as it does during a `def` handler.

    To cancel it would free its place in AnyIO's limiter while the thread goes on.
    """
    return task in anyio.to_thread.current_default_thread_limiter().statistics().borrowers


async def _finish(answer: asyncio.Task[None], task: asyncio.Task[object]) -> None:
    """Wait for the answer, and take this layer's cancellation of the request back."""
    if task.cancelling() and task.uncancel() > 0:  # the server's shutdown cancels it as well
        answer.cancel()  # if it has not been sent, `Recovery` answers
        raise asyncio.CancelledError
    await answer


def _log_error_after_timeout(error: BaseException, scope: Scope) -> None:
    """Log what the application raised instead of the cancellation. The client has its 504."""
    if not isinstance(error, asyncio.CancelledError):
        extra = {"path": scope["path"]}
        log.warning("request failed after its timeout", extra=extra, exc_info=error)
