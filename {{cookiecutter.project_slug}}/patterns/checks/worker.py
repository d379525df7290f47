"""The check of a background worker: it does a job of its queue in time."""

import time
import uuid
from collections.abc import Awaitable, Callable

from ..health import Check, CheckFailed, CheckResult, Status

TIMEOUT = 2.0  # seconds for an attempt, which can open a connection
IMPACT_REASON = "requests are accepted, and their jobs wait in the queue"


class WorkerUnresponsive(CheckFailed):
    """No worker has done a job in time, even if a process of a worker is running."""


def worker_check(
    enqueue: Callable[[str], Awaitable[object]],
    is_done: Callable[[str], Awaitable[bool]],
    *,
    max_wait: float = 30.0,
    name: str = "worker",
) -> Check:
    """Return the check that a worker does a job in time, with the time in the queue.

    enqueue: puts a job that does nothing into the queue of the requests, with the given id.
    is_done: tells whether the job with this id was done.
    max_wait: seconds. While no worker does a job, one is enqueued in this time.
    """
    job, sent_at, seconds = "", 0.0, 0.0
    unresponsive = False

    async def check() -> CheckResult:
        nonlocal job, sent_at, seconds, unresponsive
        if job:
            done = await is_done(job)
            waited = time.monotonic() - sent_at
            if done or waited > max_wait:
                job, seconds, unresponsive = "", waited, not done
        if not job:
            new_job = uuid.uuid4().hex
            await enqueue(new_job)
            job, sent_at = new_job, time.monotonic()
        if unresponsive:
            raise WorkerUnresponsive("no worker has done a job in time", max_wait=max_wait)
        return CheckResult(data={"seconds": round(seconds, 1), "max_wait": max_wait})

    return Check(name, check, Status.WARN, IMPACT_REASON, timeout=TIMEOUT)
