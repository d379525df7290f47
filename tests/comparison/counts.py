"""What an application holds: tasks, threads and sockets."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev import supervisor
from faults.probe_client import send_request

TASKS_TIMEOUT = 1.0


@dataclass(frozen=True)
class Counts:
    """What all processes of an application hold.

    tasks: of its event loop. None without an event loop, or if it does not respond.
    sockets: connections to the servers and to clients, and those of the event loop itself.
    """

    tasks: int | None
    threads: int
    sockets: int


async def count(pid: int, port: int) -> Counts:
    """Count what the application holds whose first process and port these are."""
    pids = [pid, *supervisor.descendants(pid)]
    threads = sum(1 for each in pids for _ in entries(each, "task"))
    sockets = sum(is_socket(file) for each in pids for file in entries(each, "fd"))
    return Counts(await task_count(port), threads, sockets)


async def task_count(port: int) -> int | None:
    """Ask the application for its tasks, without the one that answers."""
    with contextlib.suppress(TimeoutError, ValueError):
        async with asyncio.timeout(TASKS_TIMEOUT):
            _, body = await send_request(port, "/tasks")
            return int(body) - 1
    return None


def entries(pid: int, folder: str) -> Iterator[Path]:
    """Yield the files of a folder of /proc, or none if the process has ended."""
    with contextlib.suppress(FileNotFoundError):
        yield from Path(f"/proc/{pid}/{folder}").iterdir()


def is_socket(file: Path) -> bool:
    """Return whether an open file is a socket."""
    try:
        return str(file.readlink()).startswith("socket:")
    except OSError:  # it has just been closed
        return False
