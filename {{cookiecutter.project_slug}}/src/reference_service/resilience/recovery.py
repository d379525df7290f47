"""Answer 500 with a body if the application raises an exception."""

import asyncio
import inspect
import logging
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import send_problem

log = logging.getLogger(__name__)


class Recovery:
    """Catch everything that the application inside it raises, and log it once.

    This includes `ExceptionGroup`, `SystemExit` and a stray `CancelledError`, any of which would
    otherwise end the connection without a response, or end the process. If this task is cancelled,
    by the handler itself or by the server's shutdown, the client gets its 500 all the same. Then
    the cancellation passes through.

    A handler that the application has registered for `Exception` makes the response instead:
    Starlette would call it outside of all middleware, where nothing arrives any more.

    A response that has started cannot be replaced. It is left incomplete: an ASGI server then
    closes the connection, and the client sees a broken response instead of a short one. After a
    complete response it is a background task that failed, and the client is not affected. A client
    that disconnects while its body is read is not an error of the service.

    on_error: called for each request whose handler failed.
    on_abort: called as well if its response had started.
    on_background_error: called for each failure after a complete response.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        on_error: Callable[[], None] = lambda: None,
        on_abort: Callable[[], None] = lambda: None,
        on_background_error: Callable[[], None] = lambda: None,
    ) -> None:
        self.app = app
        self.on_error = on_error
        self.on_abort = on_abort
        self.on_background_error = on_background_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, and raise nothing but the cancellation of its task."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        try:
            await self.app(scope, exchange.receive, exchange.send)
            if not exchange.complete and not exchange.disconnected:
                error = RuntimeError("the application returned before its response ended")
                await self._handle(error, scope, exchange)
        except ClientDisconnect:
            pass
        except GeneratorExit:  # the event loop discards this request
            raise
        except BaseException as error:
            cancelled = is_cancellation(error)
            if not (cancelled and exchange.started):
                await self._handle(error, scope, exchange)
            if cancelled:
                raise

    async def _handle(self, error: BaseException, scope: Scope, exchange: "_Exchange") -> None:
        """Count and log an error, and respond if no response has started."""
        extra = {"method": scope["method"], "path": scope["path"]}
        if exchange.complete:
            self.on_background_error()
            log.error("background task failed", extra=extra, exc_info=error)
            return
        self.on_error()
        if exchange.started:
            self.on_abort()
            message = "request failed after its response started"
            log.error(message, extra=extra, exc_info=error)
            return
        log.error("request failed", extra=extra, exc_info=error)
        await _respond(error, scope, exchange.receive, exchange.send)


class _Exchange:
    """The messages of one request, and how far they are."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.started = self.complete = self.disconnected = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.disconnected = message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        self.started = True
        await self._send(message)  # it can raise, for example if the body is longer than declared
        self.complete = message["type"] == "http.response.body" and not message.get("more_body")


async def _respond(error: BaseException, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the response of the application's own handler for `Exception`, or a problem."""
    handlers = getattr(scope.get("app"), "exception_handlers", {})
    handler = handlers.get(500) or handlers.get(Exception)
    if handler and isinstance(error, Exception):
        try:
            if inspect.iscoroutinefunction(handler):
                response = await handler(Request(scope, receive), error)
            else:
                response = await run_in_threadpool(handler, Request(scope, receive), error)
        except Exception:
            log.exception("exception handler failed", extra={"path": scope["path"]})
        else:
            await response(scope, receive, send)
            return
    await send_problem(scope, send, 500, "The service failed to handle the request.")


def is_cancellation(error: BaseException) -> bool:
    """Return whether this task is cancelled. A stray `CancelledError` does not count."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
