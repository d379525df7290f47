"""Answers 500 with a body for whatever is raised below it."""

import asyncio
import logging
from collections import Counter

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import send_problem

log = logging.getLogger(__name__)


class Recovery:
    """Catches everything that a handler, dependency or middleware raises, and logs it once.

    That includes `ExceptionGroup`, `SystemExit` and a stray `CancelledError`, any of which would
    end the connection without a word, or the process. A cancellation meant for this task, as
    by the server's shutdown, passes through.

    A response that has begun cannot be mended: it is left unfinished, whereupon an ASGI server cuts
    the connection, and the client sees a broken answer instead of a short one. A client that leaves
    while its body is read is nobody's failure, and there is nobody to answer.

    tally: counts `http_unhandled_exceptions`, and among them `http_responses_aborted`.
    """

    def __init__(self, app: ASGIApp, *, tally: Counter[str] | None = None) -> None:
        self.app = app
        self.tally = Counter[str]() if tally is None else tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request; never raise on the application's behalf."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except ClientDisconnect:
            pass
        except BaseException as error:
            if _is_meant_for_this_task(error):
                raise
            self.tally["http_unhandled_exceptions"] += 1
            self.tally["http_responses_aborted"] += begun
            what = "request failed after its response began" if begun else "request failed"
            log.exception(what, extra={"method": scope["method"], "path": scope["path"]})
            if not begun:
                await send_problem(scope, send, 500, "The service failed to handle the request.")


def _is_meant_for_this_task(error: BaseException) -> bool:
    """Tell a real cancellation from a stray one: only `Task.cancel()` counts as cancelling."""
    if isinstance(error, GeneratorExit):
        return True
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
