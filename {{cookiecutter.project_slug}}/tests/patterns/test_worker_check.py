"""A Celery worker that is broken, whether it does the jobs of requests, and the check."""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery  # type: ignore[import-untyped]

from dev.process import Process

from patterns.checks.worker import WorkerUnresponsive, worker_check
from patterns.health import Check, CheckResult, Status, run_once

from ..processes import wait_until
from .celery_app import create_app

MAX_WAIT = 2.0


class Worker:
    """A Celery worker with one process for its jobs, and the client that gives it jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = create_app(folder)
        self.process: Process | None = None
        self._logs = itertools.count()

    def start(self, *options: str, **variables: str) -> None:
        command = [sys.executable, "-m", "celery", "-A", f"{__package__}.celery_app", "worker"]
        quiet = ["--concurrency=1", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        environment = {**os.environ, "WORKER_FOLDER": str(self.folder), **variables}
        with (self.folder / f"worker-{next(self._logs)}.log").open("wb") as log:
            self.process = Process(
                [*command, *quiet, *options], output=log, environment=environment, grace=1
            )

    def stop(self) -> None:
        if self.process:
            self.process.kill()

    def restart(self, *options: str, **variables: str) -> None:
        self.stop()
        self.start(*options, **variables)

    def enqueue(self, seconds: float = 0.0) -> Callable[[], bool]:
        """Give it a job, and return a function that tells whether the job was done."""
        result = self.app.send_task("work", [seconds])
        return lambda: bool(result.ready())

    def does_jobs(self) -> bool:
        """Do what a client does: wait for a new job."""
        is_done, deadline = self.enqueue(), time.monotonic() + MAX_WAIT
        while time.monotonic() < deadline:
            if is_done():
                return True
            time.sleep(0.05)
        return False


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(tmp_path)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def check_of(app: Celery) -> Check:
    async def enqueue(job: str) -> None:
        await asyncio.to_thread(app.send_task, "heartbeat", task_id=job, expires=60)

    async def is_done(job: str) -> bool:
        return await asyncio.to_thread(lambda: app.AsyncResult(job).successful())

    return worker_check(enqueue, is_done, max_wait=MAX_WAIT)


async def until(check: Check, *, passes: bool) -> CheckResult | WorkerUnresponsive:
    """Make attempts until the check has reported a new job as done, or has failed."""
    async with asyncio.timeout(30):
        while True:
            try:
                result = await run_once(check)
            except WorkerUnresponsive as error:
                if not passes:
                    return error
            else:
                if passes and result.data["seconds"]:
                    return result
            await asyncio.sleep(0.1)


def stick(worker: Worker) -> None:
    worker.enqueue(600)
    wait_for_the_backlog(worker)  # jobs that wait are taken in any order


def build_up_a_backlog(worker: Worker) -> None:
    for _ in range(12):
        worker.enqueue(0.5)


def pause(worker: Worker) -> None:
    assert worker.process
    worker.process.pause()


def resume(worker: Worker) -> None:
    assert worker.process
    worker.process.resume()


def wait_for_the_backlog(worker: Worker) -> None:
    while any((worker.folder / "queue").iterdir()):
        time.sleep(0.1)


OUTAGES: dict[str, tuple[Callable[[Worker], None], Callable[[Worker], None]]] = {
    "stuck in a job": (stick, Worker.restart),
    "backlog": (build_up_a_backlog, wait_for_the_backlog),
    "frozen": (pause, resume),
    "killed": (Worker.stop, Worker.start),
    "listens to another queue": (lambda worker: worker.restart("-Q", "other"), Worker.restart),
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
async def test_check_fails_when_jobs_are_not_done(
    worker: Worker, outage: tuple[Callable[[Worker], None], Callable[[Worker], None]]
) -> None:
    breaks, repairs = outage
    check = check_of(worker.app)
    await until(check, passes=True)
    await asyncio.to_thread(wait_until, worker.does_jobs)
    await asyncio.to_thread(breaks, worker)
    assert not await asyncio.to_thread(worker.does_jobs)
    await until(check, passes=False)
    await asyncio.to_thread(repairs, worker)
    result = await until(check, passes=True)
    assert isinstance(result, CheckResult)
    assert result.status is Status.PASS


async def test_worker_that_does_not_know_the_job_fails(worker: Worker) -> None:
    worker.restart(WITHOUT_HEARTBEAT="1")
    await until(check_of(worker.app), passes=False)


async def test_stuck_worker_that_responds_to_a_ping_fails(worker: Worker) -> None:
    await asyncio.to_thread(wait_until, worker.does_jobs)
    await asyncio.to_thread(wait_until, lambda: ping(worker), 60)  # an answer can be lost
    await asyncio.to_thread(stick, worker)
    await asyncio.to_thread(wait_until, lambda: ping(worker), 60)
    await until(check_of(worker.app), passes=False)


def ping(worker: Worker) -> bool:
    """Ask as `celery inspect ping` does."""
    answers = worker.app.control.ping(timeout=3)
    return any({"ok": "pong"} in answer.values() for answer in answers)


async def test_job_that_is_not_done_is_the_only_one_in_the_queue(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    check = check_of(worker.app)
    for _ in range(10):
        await run_once(check)
    assert len(list((tmp_path / "queue").iterdir())) == 1


async def test_broker_that_is_down_fails() -> None:
    async def enqueue(_: str) -> None:
        raise ConnectionError

    async def is_done(_: str) -> bool:
        return False

    check = worker_check(enqueue, is_done)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await run_once(check)
