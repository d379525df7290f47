"""Answer 500 with a body if the application raises an exception."""

import asyncio
import logging
from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import send_problem

log = logging.getLogger(__name__)


class Recovery:
    """Catch everything that the application inside it raises, and log it once.

    This includes `ExceptionGroup`, `SystemExit` and a stray `CancelledError`, any of which would
    otherwise end the connection without a response, or end the process. A cancellation of this
    task, for example by the server's shutdown, passes through.

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
        """Run one request, and raise nothing that the application raised."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, complete = False, False

        async def watch(message: Message) -> None:
            nonlocal started, complete
            started = True
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body")

        try:
            await self.app(scope, receive, watch)
        except ClientDisconnect:
            pass
        except BaseException as error:
            if _is_cancellation(error):
                raise
            request = {"method": scope["method"], "path": scope["path"]}
            if complete:
                self.on_background_error()
                log.exception("background task failed", extra=request)
                return
            self.on_error()
            if started:
                self.on_abort()
                log.exception("request failed after its response started", extra=request)
                return
            log.exception("request failed", extra=request)
            await send_problem(scope, send, 500, "The service failed to handle the request.")


def _is_cancellation(error: BaseException) -> bool:
    """Return whether this task is cancelled. A stray `CancelledError` does not count."""
    if isinstance(error, GeneratorExit):
        return True
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
