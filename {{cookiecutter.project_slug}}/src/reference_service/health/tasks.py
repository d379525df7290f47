"""Bound work that may not end: drivers swallow cancellation, clean up for seconds, or block."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class ThreadResult(asyncio.Future[T]):
    """The result of a thread. Like the thread, it cannot be cancelled."""

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - asyncio's signature
        """Do nothing."""
        return False


def run_in_thread(function: Callable[[], T], name: str) -> ThreadResult[T]:
    """Run a function in a thread of its own, within the context of the caller.

    A pool would have to be larger than the number of calls that hang, and its threads would delay
    the exit of the process.
    """
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    done: ThreadResult[T] = ThreadResult(loop=loop)

    def run() -> None:
        try:
            outcome = context.run(function)
        except StopIteration as error:  # a future cannot hold it (PEP 479)
            report(done.set_exception, RuntimeError(f"the function raised {error!r}"))
        except BaseException as error:
            report(done.set_exception, error)
        else:
            report(done.set_result, outcome)

    def report(set_outcome: Callable[[Any], None], outcome: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(set_outcome, outcome)

    threading.Thread(target=run, name=name, daemon=True).start()
    return done


async def result_within(seconds: float, task: asyncio.Future[T]) -> T:
    """Return the result of a task or a thread, or raise TimeoutError.

    What has not ended by then is abandoned: it is not awaited.
    """
    ignore_exception(task)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
    finally:
        abandon(task)
    raise TimeoutError


def abandon(task: asyncio.Future[Any]) -> None:
    """Cancel a task once, unless it waits for a thread. The thread would go on unseen."""
    if isinstance(task, asyncio.Task) and not task.cancelling() and not waits_for_thread(task):
        task.cancel()


def waits_for_thread(task: asyncio.Future[Any]) -> bool:
    """Tell whether this is the result of a thread, or a task that awaits one directly.

    asyncio and AnyIO offer no way to ask. A task shows what it awaits: a future that is chained to
    one of an executor, as in `asyncio.to_thread()`, or AnyIO's coroutine, as in Starlette's
    `run_in_threadpool()`.
    """
    if not isinstance(task, asyncio.Task):
        return isinstance(task, ThreadResult)
    awaited: Any = task.get_coro()
    while awaited is not None:
        code = getattr(awaited, "cr_code", None)
        if code is not None and code.co_name == "run_sync_in_worker_thread":
            return True
        awaited = getattr(awaited, "cr_await", None)
    return "_chain_future" in repr(task)


def ignore_exception(task: asyncio.Future[Any]) -> None:
    """Prevent asyncio's warning that the exception of an abandoned task was never retrieved."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
