"""Run the service as its users do: as a process, on ports, controlled by signals."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from dev.ports import free_port
from dev.process import Process


def wait_until(condition: Callable[[], object], within: float = 30.0) -> float:
    """Wait for a condition and return the seconds it took. Refused connections are ignored."""
    started = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - started
        except httpx.TransportError:
            pass
        took = time.monotonic() - started
        assert took < within, f"the condition did not hold within {took:.1f} s"
        time.sleep(0.02)


async def eventually(condition: Callable[[], Awaitable[object]], within: float = 30.0) -> float:
    """Wait for an asynchronous condition, and return the seconds that it took."""
    started = time.monotonic()
    while not await condition():
        elapsed = time.monotonic() - started
        assert elapsed < within, f"the condition was still false after {elapsed:.1f} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - started


class Service:
    """The service with some routes that fail on request, see `tests.faulty`.

    environment: the variables of the servers that it needs. Its output is written to `log`.
    """

    def __init__(self, environment: Mapping[str, str], log: Path, **settings: object) -> None:
        self.log = log
        self.port, management = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # One connection per request, as a kubelet does.
        self.api = httpx.Client(base_url=self.url, headers={"connection": "close"}, timeout=20)
        self.management = httpx.Client(base_url=f"http://127.0.0.1:{management}", timeout=20)
        self._environment = {
            "PATH": os.environ["PATH"],
            "SERVICE_ENVIRONMENT": "production",
            "SERVICE_HOST": "127.0.0.1",
            "SERVICE_PORT": str(self.port),
            "SERVICE_MANAGEMENT_PORT": str(management),
            "SERVICE_DRAIN_DELAY": "0",
            **environment,
            **{name: str(value) for name, value in settings.items()},
        }

    def __enter__(self) -> Self:
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", "tests.faulty"]
            self.process = Process(command, output=output, environment=self._environment)
        try:
            wait_until(lambda: self.probe("live") == 200)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()
        self.api.close()
        self.management.close()

    def probe(self, name: str) -> int:
        """Return the status code of a probe."""
        return self.api.get(f"/health/{name}").status_code

    def until_ready(self, code: int = 200, within: float = 30.0) -> float:
        """Wait until `ready` responds with the code, and return the seconds it took."""
        return wait_until(lambda: self.probe("ready") == code, within)

    def until_status(self, status: str, within: float = 30.0) -> float:
        """Wait until `ready` responds with pass or warn, and return the seconds it took."""

        def has_status() -> bool:
            response = self.api.get("/health/ready")
            return response.status_code == 200 and response.json() == {"status": status}

        return wait_until(has_status, within)

    def check(self, name: str) -> dict[str, Any]:
        """Return the report of the management port about a check."""
        report = self.management.get("/health").json()["checks"][name][0]
        assert isinstance(report, dict)
        return report

    def until_error(self, name: str, error: str) -> None:
        """Wait until a check reports an error. Its first attempt may see connections that close."""
        wait_until(lambda: self.check(name)["error"] == error)

    def tasks(self) -> int:
        """Return the number of tasks in the service's event loop."""
        return int(self.api.get("/faults/tasks").text)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pids[0], number)

    def ends_with(self, within: float = 30.0) -> int:
        """Wait for the end, and return the exit status."""
        wait_until(lambda: self.process.status is not None, within)
        status = self.process.status
        assert status is not None
        return status

    def records(self, message: str) -> list[dict[str, Any]]:
        """Return the log records with this message, as soon as there is one, or none after 1 s.

        Each line on stdout is one JSON object. A thread writes it, up to 20 ms after a request.
        """
        with contextlib.suppress(AssertionError, TimeoutError):
            wait_until(lambda: self._records(message), within=1)
        return self._records(message)

    def _records(self, message: str) -> list[dict[str, Any]]:
        complete = self.log.read_text().rpartition("\n")[0]
        lines = [line for line in complete.splitlines() if line.startswith("{")]
        return [entry for line in lines if (entry := json.loads(line))["message"] == message]


def has_port(text: str, port: int | str) -> bool:
    """Whether the text contains the port, and not only as digits of a time or a duration."""
    return re.search(rf"(?<![\d.]){port}(?!\d)", text) is not None
