"""A process that is measured: on a core of its own, away from client and databases."""

import contextlib
import http.client
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from dev.ports import free_port
from dev.process import Process, wait_until

PATIENCE = 60.0
"""Seconds that a start may take on a busy machine."""
MEGABYTE = 1024 * 1024


@contextlib.contextmanager
def on_core(number: int) -> Iterator[None]:
    """Have what is started meanwhile run on one core; where the system cannot, on any."""
    if not hasattr(os, "sched_setaffinity"):  # macOS
        yield
        return
    before = os.sched_getaffinity(0)
    cores = sorted(os.sched_getaffinity(os.getppid()) | before)
    os.sched_setaffinity(0, {cores[number % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Subject:
    """`python` with these arguments, from `with` to its end, with a port of its own.

    The port, and one for management, stand in the variables of the service; with `port_at_end` the
    first follows the arguments. `log` receives what it writes: in production a line a request.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str],
        port_at_end: bool = False,
        core: int = 0,
    ) -> None:
        self.port, self.management = free_port(), free_port()
        self.log = folder / f"{self.port}.log"
        self._arguments = [*arguments, *([str(self.port)] if port_at_end else [])]
        ours = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        own = {"SERVICE_PORT": str(self.port), "SERVICE_MANAGEMENT_PORT": str(self.management)}
        self._environment = {**ours, **environment, **own}
        self._core = core
        self._process: Process | None = None

    def __enter__(self) -> Self:
        with on_core(self._core), self.log.open("ab") as log:
            self._process = Process(
                [sys.executable, *self._arguments], output=log, environment=self._environment
            )
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process:
            process.kill()  # a drain would take seconds, and is not what is measured

    def until(self, path: str) -> Self:
        """Wait until a path is answered 200. Raises RuntimeError, with the log, if it never is."""
        try:
            wait_until(lambda: self.status(path) == http.client.OK or self._is_gone(), PATIENCE)
        except TimeoutError:
            raise RuntimeError(self.log.read_text(errors="replace")[-2000:]) from None
        if self._is_gone():
            raise RuntimeError(self.log.read_text(errors="replace")[-2000:])
        return self

    def status(self, path: str) -> int:
        """Return the status code of a path, or 0 when nobody answers."""
        return self.fetch(path)[0]

    def fetch(self, path: str, method: str = "GET", body: str = "") -> tuple[int, bytes]:
        """Return a status code and a body, or 0 when nobody answers."""
        return ask(self.port, path, method, body)

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used so far, by all of its threads."""
        if sys.platform == "linux":  # its CPU clock, in nanoseconds: see clock_getcpuclockid(3)
            return time.clock_gettime((~self.pid << 3) | 2)
        import psutil  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415 - elsewhere alone

        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def memory(self) -> float:
        """Return its resident megabytes, shared or not."""
        return self._resident("Rss")

    def heap(self) -> float:
        """Return its own: on Linux without what is mapped from files, which others share or not."""
        return self._resident("Anonymous")

    def _resident(self, kind: str) -> float:
        rollup = Path(f"/proc/{self.pid}/smaps_rollup")
        if rollup.exists():
            fields = (line.split() for line in rollup.read_text().splitlines())
            return next(int(words[1]) / 1024 for words in fields if words[0] == f"{kind}:")
        import psutil  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415 - elsewhere alone

        return float(psutil.Process(self.pid).memory_info().rss) / MEGABYTE

    def forget_log(self) -> None:
        """Empty its log: a line a request soon fills a disk."""
        os.truncate(self.log, 0)

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self._process
        return self._process.pids[0]

    def _is_gone(self) -> bool:
        return self._process is None or self._process.status is not None


def ask(port: int, path: str, method: str = "GET", body: str = "") -> tuple[int, bytes]:
    """Return a status code and a body, or 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
