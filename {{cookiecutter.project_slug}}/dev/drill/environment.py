"""The drill's own service and servers, in a temporary folder and on free ports."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

from dev.drill.snapshot import ProbeSnapshot, http_get, take_snapshot
from dev.ports import free_port
from dev.process import Process, StartError, wait_until
from dev.server import Server
from dev.servers import SERVERS

S = TypeVar("S", bound=Server)

WAIT_TIMEOUT = 30.0
"""Seconds to wait for a condition, on a busy machine."""

VARIABLE_PREFIXES = (
    # Prefixes of the service's environment variables.
    "SERVICE_",
    "HEALTH_",
    "DATABASE_",  # feature: postgres
    "REDIS_",  # feature: redis
    "KAFKA_",  # feature: kafka
    "GRPC_TARGETS",  # feature: grpc
    "GRPC_TLS",  # feature: grpc
)


class Environment:
    """What a step can break: `service`, and each server by its class: ``environment[Database]``.

    The service has its default settings. The caller's variables for it are not passed on.
    """

    def __init__(self, folder: Path) -> None:
        self.threads = ThreadPoolExecutor(max_workers=500)  # more than a pool has connections
        """Runs work in the background, for example requests."""
        self.port = self.management_port = 0
        self._log = folder / "service.log"
        self._servers = {kind: kind(folder / kind.name) for kind in SERVERS}
        self._variables = dict(os.environ)
        for name in ignored_variables():
            del self._variables[name]
        self._processes: list[Process] = []
        self._is_ending = False

    def __getitem__(self, kind: type[S]) -> S:
        """Return the server of a class."""
        return cast(S, self._servers[kind])

    @property
    def service(self) -> Process:
        """The service's latest process."""
        return self._processes[-1]

    def start(self) -> None:
        """Start everything and return when the service is ready. Raises StartError."""
        servers = self._servers.values()
        for started in [self.threads.submit(server.start) for server in servers]:
            started.result()
        self.port, self.management_port = free_port(), free_port()
        self._variables |= {
            **{server.variable: server.url for server in servers},
            "SERVICE_PORT": str(self.port),
            "SERVICE_MANAGEMENT_PORT": str(self.management_port),
        }
        for server in servers:
            if server.setup:
                self._run(*server.setup)
        self.start_service()
        with contextlib.suppress(TimeoutError):
            self.until(lambda: self.snapshot().is_healthy or self.service.status is not None)
        if not self.snapshot().is_healthy:
            log = self._log.read_text(errors="replace")[-4000:]
            raise StartError(f"The service did not become ready. Its log ends:\n{log}")

    def start_service(self) -> None:
        """Start the service's process. It does not respond yet."""
        self._run("reference_service")

    def snapshot(self) -> ProbeSnapshot:
        """Return the present responses of the probes."""
        return take_snapshot(self.port, self.management_port)

    def request(self, path: str) -> int | None:
        """Return the status code of a request; None if there is no response."""
        response = http_get(self.port, path, timeout=30)
        return response[0] if response else None

    def health(self) -> dict[str, Any]:
        """Return the report of the management port. Raises RuntimeError without a response."""
        if response := http_get(self.management_port, "/health"):
            report: dict[str, Any] = json.loads(response[1])
            return report
        raise RuntimeError("the management port does not respond")

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition, or for the drill's end. Raises TimeoutError."""
        try:
            wait_until(lambda: self._is_ending or condition(), WAIT_TIMEOUT)
        except TimeoutError:
            raise TimeoutError(f"a condition did not hold within {WAIT_TIMEOUT:g} s") from None

    def end(self) -> None:
        """End everything at once, broken or not."""
        self._is_ending = True
        self._stop()
        self.threads.shutdown(cancel_futures=True)  # nothing keeps the threads waiting now
        self._stop()  # what the threads have started meanwhile

    def _run(self, *module: str) -> None:
        """Start a Python module with the service's environment and log."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", *module]
            self._processes.append(Process(command, output=log, environment=self._variables))

    def _stop(self) -> None:
        for process in self._processes:
            process.kill()
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda server: server.stop(), self._servers.values()))


@contextlib.contextmanager
def running_environment(folder: Path) -> Iterator[Environment]:
    """Run an environment in a folder. Raises StartError."""
    environment = Environment(folder)
    try:
        environment.start()
        yield environment
    finally:
        environment.end()


def ignored_variables() -> list[str]:
    """Return the names of the caller's variables that the drill does not pass to the service."""
    return sorted(name for name in os.environ if name.startswith(VARIABLE_PREFIXES))
