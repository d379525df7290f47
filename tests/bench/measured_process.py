"""Run and measure a process on its own core, apart from the client and the databases."""

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

START_TIMEOUT = 60.0
"""Seconds that a start may take on a busy machine."""
BYTES_PER_MB = 1024 * 1024


@contextlib.contextmanager
def pinned_to_core(number: int) -> Iterator[None]:
    """Run new processes on one core; on any core if the system cannot restrict them."""
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


class MeasuredProcess:
    """Run `python` with these arguments in a `with` block, with a port of its own.

    The ports are in the environment variables of the service. With `port_argument`, the service
    port is also the last argument. `log` receives the output: in production, one line per request.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str],
        port_argument: bool = False,
        core: int = 0,
    ) -> None:
        self.port, self.management_port = free_port(), free_port()
        self.log = folder / f"{self.port}.log"
        self._arguments = [*arguments, *([str(self.port)] if port_argument else [])]
        path = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        ports = {
            "SERVICE_PORT": str(self.port),
            "SERVICE_MANAGEMENT_PORT": str(self.management_port),
        }
        self._environment = {**path, **environment, **ports}
        self._core = core
        self._process: Process | None = None

    def __enter__(self) -> Self:
        with pinned_to_core(self._core), self.log.open("ab") as log:
            self._process = Process(
                [sys.executable, *self._arguments], output=log, environment=self._environment
            )
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process:
            process.kill()  # a graceful shutdown takes seconds and is not measured

    def wait_until_ready(self, path: str) -> Self:
        """Wait until a path is answered with 200. Raises RuntimeError, with the end of the log."""
        try:
            wait_until(
                lambda: self.status_code(path) == http.client.OK or self._has_ended(),
                START_TIMEOUT,
            )
        except TimeoutError:
            raise RuntimeError(self.log.read_text(errors="replace")[-2000:]) from None
        if self._has_ended():
            raise RuntimeError(self.log.read_text(errors="replace")[-2000:])
        return self

    def status_code(self, path: str) -> int:
        """Return the status code of a GET request, or 0 without a response."""
        return self.request(path)[0]

    def request(self, path: str, method: str = "GET", body: str = "") -> tuple[int, bytes]:
        """Return a status code and a body, or 0 without a response."""
        return send_request(self.port, path, method, body)

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that all threads of the process have used so far."""
        if sys.platform == "linux":  # the CPU clock of the process: see clock_getcpuclockid(3)
            return time.clock_gettime((~self.pid << 3) | 2)
        import psutil  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415 - not on Linux

        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def resident_megabytes(self) -> float:
        """Return the resident memory, shared or not."""
        return self._megabytes("Rss")

    def heap_megabytes(self) -> float:
        """Return the memory without mapped files, which other processes may share (on Linux)."""
        return self._megabytes("Anonymous")

    def _megabytes(self, kind: str) -> float:
        rollup = Path(f"/proc/{self.pid}/smaps_rollup")
        if rollup.exists():
            fields = (line.split() for line in rollup.read_text().splitlines())
            return next(int(words[1]) / 1024 for words in fields if words[0] == f"{kind}:")
        import psutil  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415 - not on Linux

        return float(psutil.Process(self.pid).memory_info().rss) / BYTES_PER_MB

    def truncate_log(self) -> None:
        """Empty the log. One line per request would soon fill the disk."""
        os.truncate(self.log, 0)

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process
        return self._process.pids[0]

    def _has_ended(self) -> bool:
        return self._process is None or self._process.status is not None


def send_request(port: int, path: str, method: str = "GET", body: str = "") -> tuple[int, bytes]:
    """Return a status code and a body, or 0 without a response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
