"""The service that is fuzzed: generated, without servers, its items in memory."""

import contextlib
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from dev.ports import free_port
from dev.process import Process, wait_until

from tools.generate import ROOT, environment, generate, set_up

PYTHON = ROOT / ".build" / "venv" / "bin" / "python"
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
SECRET = "zwergNASE7rbis"
BASELINE = ("postgres", "redis", "kubernetes", "docker", "github")
"""What the fuzzed service goes without. Its name is that of the installed template folder."""
START_TIMEOUT = 60.0
SETTLE_TIMEOUT = 60.0
PROBE_INTERVAL = 0.05
PROBE_TIMEOUT = 5.0
"""Seconds within which a probe answers, while its client is busy too."""


class Target:
    """The service as a process, for a `with` block."""

    def __init__(self, folder: Path) -> None:
        set_up(TEMPLATE)
        names = {"project_slug": "reference-service", "package_name": "reference_service"}
        self.folder = generate(folder, **names, **dict.fromkeys(BASELINE, False))
        self.log = folder / "service.log"
        self.port, self._management = free_port(), free_port()
        self._read_bytes = 0

    def __enter__(self) -> Self:
        variables = {
            "PYTHONPATH": str(self.folder / "src"),
            "SERVICE_ENVIRONMENT": "production",
            "SERVICE_HOST": "127.0.0.1",
            "SERVICE_PORT": str(self.port),
            "SERVICE_MANAGEMENT_PORT": str(self._management),
            "SERVICE_CONCURRENCY_LIMIT": "1000",
            "SERVICE_HEADER_TIMEOUT": "60",  # the client may be slow too, on a busy machine
            "SERVICE_IO_TIMEOUT": "60",
            "SERVICE_REQUEST_TIMEOUT": "60",
            "SERVICE_DRAIN_DELAY": "0",
            "SERVICE_OPERATIONS_TOKEN": SECRET,
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={SECRET}",
        }
        with self.log.open("wb") as output:
            command = [str(PYTHON), "-m", "reference_service"]
            self._process = Process(command, output=output, environment=environment() | variables)
        try:
            wait_until(self._is_ready, START_TIMEOUT)
            for path in ("/docs", "/openapi.json", "/items"):
                self.request(path)
            wait_until(lambda: self.probe("startup")[0] == 200, START_TIMEOUT)
            self.pid = self._process.pids[0]
            self._descriptors, self._tasks = self.descriptors(), self.tasks()
        except BaseException:
            self._process.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.status = self._process.stop()

    # ---- Requests of a well-behaved client

    def request(
        self, path: str, method: str = "GET", content: object = None, *, management: bool = False
    ) -> tuple[int, bytes]:
        """Return the status and the body of one response."""
        port = self._management if management else self.port
        headers = {"Authorization": f"Bearer {SECRET}"} if management else {}
        body = None
        if content is not None:
            body, headers["Content-Type"] = json.dumps(content).encode(), "application/json"
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", body, headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def probe(self, name: str, timeout: float = PROBE_TIMEOUT) -> tuple[int, float]:
        """Return the status of a probe, and the seconds that it took."""
        started = time.monotonic()
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/health/{name}", timeout=timeout
        ) as answer:
            return answer.status, time.monotonic() - started

    def create(self, name: str) -> str:
        """Create an item, and return its path."""
        status, body = self.request("/items", "POST", {"name": name})
        assert status == 201, (status, body)
        return f"/items/{json.loads(body)['id']}"

    def items(self) -> list[dict[str, Any]]:
        """Return all items."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = json.loads(self.request(f"/items?limit=100{cursor}")[1])
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    # ---- What the process holds

    def descriptors(self) -> int:
        """Return the number of open descriptors of the process."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def tasks(self) -> int:
        """Return the number of tasks in its event loop."""
        stacks = self.request("/operations/tasks", management=True)[1].decode()
        return len(re.findall(r"(?m)^(?:Stack for|No stack for)", stacks))

    def memory(self) -> float:
        """Return the resident memory of the process in MiB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)

    def growth(self) -> str:
        """Wait until descriptors and tasks are as at the start, and return what is not, or ""."""
        with contextlib.suppress(TimeoutError):
            wait_until(
                lambda: self.descriptors() <= self._descriptors and self.tasks() <= self._tasks,
                SETTLE_TIMEOUT,
            )
            return ""
        return (
            f"{self.descriptors()} descriptors and {self.tasks()} tasks are left, and it started"
            f" with {self._descriptors} and {self._tasks}"
        )

    def new_log(self) -> str:
        """Return what the service has written since the last call."""
        with self.log.open("rb") as log:
            log.seek(self._read_bytes)
            text = log.read()
        self._read_bytes += len(text)
        return text.decode(errors="replace")

    def exit_status(self) -> int | None:
        """Return the exit status of the process, or None while it runs."""
        return self._process.status

    def _is_ready(self) -> bool:
        assert self._process.status is None, self.log.read_text("utf-8")
        try:
            return self.probe("ready")[0] == 200
        except OSError:
            return False


class Prober:
    """Asks the probes all the time, in a thread, for a `with` block.

    timeout: seconds in which each has to answer.
    """

    def __init__(self, target: Target, timeout: float = PROBE_TIMEOUT) -> None:
        self._target, self._timeout = target, timeout
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.count, self.slowest = 0, 0.0
        self.wrong: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        names = ("live", "ready", "startup")
        while not self._ended.wait(PROBE_INTERVAL):
            name = names[self.count % 3]
            self.count += 1
            try:
                status, seconds = self._target.probe(name, self._timeout)
                self.slowest = max(self.slowest, seconds)
                if status != 200:
                    self.wrong.append(f"{name} was answered {status}")
            except OSError as error:
                self.wrong.append(f"{name} was not answered: {error!r}")
