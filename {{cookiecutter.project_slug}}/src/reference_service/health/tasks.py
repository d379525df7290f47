"""Bound tasks that may not end: drivers swallow cancellation, or clean up for seconds."""

import asyncio
from typing import Any, TypeVar

T = TypeVar("T")


async def result_within(seconds: float, task: asyncio.Future[T]) -> T:
    """Return the result of a task, or raise TimeoutError.

    A task that has not ended by then is abandoned: it is cancelled but not awaited.
    """
    ignore_exception(task)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
    finally:
        task.cancel()
    raise TimeoutError


def ignore_exception(task: asyncio.Future[Any]) -> None:
    """Prevent asyncio's warning that the exception of an abandoned task was never retrieved."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
