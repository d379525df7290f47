"""Bound work that may not end: drivers swallow cancellation, clean up for seconds, or block."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


def run_in_thread(function: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Run a function in a thread of its own, within the context of the caller.

    A pool would have to be larger than the number of calls that hang, and its threads would delay
    the exit of the process.
    """
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    outcome.set_running_or_notify_cancel()  # from now on it cannot be cancelled

    def run() -> None:
        try:
            outcome.set_result(function())
        except StopIteration as error:  # a future cannot hold it (PEP 479)
            outcome.set_exception(RuntimeError(f"the function raised {error!r}"))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=copy_context().run, args=[run], name=name, daemon=True).start()
    return asyncio.wrap_future(outcome)


async def result_within(seconds: float, task: asyncio.Task[T]) -> T:
    """Return the result of a task, or raise TimeoutError.

    A task that has not ended by then is abandoned: it is not awaited.
    """
    ignore_exception(task)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
    finally:
        abandon(task)
    raise TimeoutError


def abandon(task: asyncio.Task[Any]) -> None:
    """Cancel a task once, unless it waits for a thread. The thread would go on unseen."""
    if not task.cancelling() and not waits_for_thread(task):
        task.cancel()


def waits_for_thread(task: asyncio.Task[Any]) -> bool:
    """Tell whether a task directly awaits the result of a thread.

    asyncio and AnyIO offer no way to ask. A task shows what it awaits: a future that is chained to
    one of a thread, as in `asyncio.to_thread()`, or AnyIO's coroutine, as in Starlette's
    `run_in_threadpool()`.
    """
    awaited: Any = task.get_coro()
    while awaited is not None:
        if getattr(awaited, "__name__", "") == "run_sync_in_worker_thread":
            return True
        awaited = getattr(awaited, "cr_await", None)
    return "_chain_future" in repr(task)


def ignore_exception(task: asyncio.Future[Any]) -> None:
    """Prevent asyncio's warning that the exception of an abandoned task was never retrieved."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
