"""Answer 504 if the application does not start a response in time, 408 if the body is late."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadlines: dict[float, _Deadlines] = {}  # in that event loop, by seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request within its time."""
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self.app(scope, receive, send)
            return
        deadlines = self._deadlines_of(scope["path"])
        request = _Request(scope, receive, send, task, deadlines, self.on_timeout)
        deadlines.add(request)
        try:
            await self.app(scope, request.receive, request.send)
        except BaseException as error:
            if request.answer is None:
                raise
            _log_error_after_timeout(error, scope)
        finally:
            deadlines.remove(request)
            if request.retry is not None:
                request.retry.cancel()
        if request.answer is not None:
            await _finish(request.answer, task)

    def _deadlines_of(self, path: str) -> "_Deadlines":
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._deadlines = loop, {}
        seconds = self.seconds
        if self.seconds_by_path:
            matches = [prefix for prefix in self.seconds_by_path if path.startswith(prefix)]
            seconds = self.seconds_by_path[max(matches, key=len)] if matches else seconds
        if seconds not in self._deadlines:
            self._deadlines[seconds] = _Deadlines(seconds, loop)
        return self._deadlines[seconds]


class _Request:
    """One request until it ends, without nested functions: their reference cycles cost too much."""

    started = body_complete = body_awaited = False  # awaited: the application waits for it now
    retry: asyncio.TimerHandle | None = None
    answer: asyncio.Task[None] | None = None  # sends the response after the time has expired

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        task: asyncio.Task[object],
        deadlines: "_Deadlines",
        on_timeout: Callable[[], None],
    ) -> None:
        self.scope, self.server_receive, self.server_send = scope, receive, send
        self.task, self.deadlines, self.on_timeout = task, deadlines, on_timeout

    async def receive(self) -> Message:
        """Receive a part of the body, and note that the application waits for it."""
        self.body_awaited = not self.body_complete
        try:
            message = await self.server_receive()
        finally:
            self.body_awaited = False
        self.body_complete = not message.get("more_body", False)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Send a part of the response, unless the time has expired."""
        if self.answer is not None:
            return asyncio.sleep(0)
        if not self.started:
            self.started = True
            self.deadlines.remove(self)
        return self.server_send(message)

    def expire(self) -> None:
        """Answer the client, and cancel the application's work."""
        self.scope.setdefault("state", {})["timed_out"] = True  # the work can go on
        respond = self._answer_late_body if self.body_awaited else self._answer_timeout
        self.answer = self.deadlines.loop.create_task(respond(self.deadlines.seconds))
        self._cancel()

    def _cancel(self) -> None:
        if _waits_for_thread(self.task):
            self.retry = self.deadlines.loop.call_later(THREAD_POLL_INTERVAL, self._cancel)
        else:
            self.task.cancel()

    async def _answer_timeout(self, seconds: float) -> None:
        self.on_timeout()
        log.warning("request timed out", extra={"path": self.scope["path"], "after": seconds})
        detail = f"The service did not start a response within {seconds:g} s."
        await send_problem(self.scope, self.server_send, 504, detail)

    async def _answer_late_body(self, seconds: float) -> None:
        detail = f"The request body did not arrive within {seconds:g} s."
        await send_problem(self.scope, self.server_send, 408, detail, [(b"connection", b"close")])


class _Deadlines:
    """Expires requests that take some seconds, with one timer of the event loop for all of them."""

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self.seconds, self.loop = seconds, loop
        self._due: dict[_Request, float] = {}  # the earliest first; times of the event loop
        self._timer_runs = False

    def add(self, request: _Request) -> None:
        """Expire a request from now on, unless it is removed in time."""
        due = self._due[request] = self.loop.time() + self.seconds
        if not self._timer_runs:
            self._timer_runs = True
            self.loop.call_at(due, self._expire)

    def remove(self, request: _Request) -> None:
        """Do not expire a request, or not any more."""
        self._due.pop(request, None)

    def _expire(self) -> None:
        while self._due:
            request, due = next(iter(self._due.items()))
            if due > self.loop.time():
                self.loop.call_at(due, self._expire)
                return
            self.remove(request)
            request.expire()
        self._timer_runs = False


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
