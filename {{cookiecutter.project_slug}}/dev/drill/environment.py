"""The service and its servers, for the drill alone: in a temporary folder, on free ports."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

from dev.drill.snapshot import Look, get, look
from dev.ports import free_port
from dev.process import Process, StartError, wait_until
from dev.server import PATIENCE, Server
from dev.servers import SERVERS

S = TypeVar("S", bound=Server)

SETTINGS = (
    # What the names of the service's variables begin with.
    "SERVICE_",
    "HEALTH_",
    "DATABASE_",  # feature: postgres
    "REDIS_",  # feature: redis
    "KAFKA_",  # feature: kafka
    "GRPC_TARGETS",  # feature: grpc
)


class Stage:
    """What is broken: `service`, and each server by its class, as ``stage[Database]``.

    The service has its ordinary settings: what is set for it in our environment is left out.
    """

    def __init__(self, folder: Path) -> None:
        self.threads = ThreadPoolExecutor(max_workers=500)  # more than a pool has connections
        """For what goes on beside the drill, such as requests."""
        self.port = self.management_port = 0
        self._log = folder / "service.log"
        self._servers = {kind: kind(folder / kind.name) for kind in SERVERS}
        self._environment = dict(os.environ)
        for name in settings_of_ours():
            del self._environment[name]
        self._processes: list[Process] = []
        self._is_ending = False

    def __getitem__(self, kind: type[S]) -> S:
        """Give the server of a kind."""
        return cast(S, self._servers[kind])

    @property
    def service(self) -> Process:
        """The service's process, the latest one."""
        return self._processes[-1]

    def start(self) -> None:
        """Start everything, and return when the service is ready. Raises StartError."""
        servers = self._servers.values()
        for starting in [self.threads.submit(server.start) for server in servers]:
            starting.result()
        self.port, self.management_port = free_port(), free_port()
        self._environment |= {
            **{server.variable: server.url for server in servers},
            "SERVICE_PORT": str(self.port),
            "SERVICE_MANAGEMENT_PORT": str(self.management_port),
        }
        for server in servers:
            if server.setup:
                self._run(*server.setup)
        self.serve()
        with contextlib.suppress(TimeoutError):
            self.until(lambda: self.look().is_well or self.service.status is not None)
        if not self.look().is_well:
            log = self._log.read_text(errors="replace")[-4000:]
            raise StartError(f"The service does not become ready. Its log ends:\n{log}")

    def serve(self) -> None:
        """Start the service; it is not up yet."""
        self._run("reference_service")

    def look(self) -> Look:
        """See what the probes answer now."""
        return look(self.port, self.management_port)

    def request(self, path: str) -> int | None:
        """Give the status code that a request gets; None if it gets no answer."""
        answer = get(self.port, path, timeout=30)
        return answer[0] if answer else None

    def health(self) -> dict[str, Any]:
        """Give all that the management port tells. Raises RuntimeError if it is silent."""
        if answer := get(self.management_port, "/health"):
            told: dict[str, Any] = json.loads(answer[1])
            return told
        raise RuntimeError("the management port is silent")

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds, or the drill ends. Raises TimeoutError after `PATIENCE`."""
        try:
            wait_until(lambda: self._is_ending or condition(), PATIENCE)
        except TimeoutError:
            raise TimeoutError(f"what was to come did not within {PATIENCE:g} s") from None

    def end(self) -> None:
        """End all of it at once, broken or not."""
        self._is_ending = True
        self._stop()
        self.threads.shutdown(cancel_futures=True)  # now that nobody keeps them waiting
        self._stop()  # what they have started meanwhile

    def _run(self, *module: str) -> None:
        """Start one of Python's modules, with the service's environment and log."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", *module]
            self._processes.append(Process(command, output=log, environment=self._environment))

    def _stop(self) -> None:
        for process in self._processes:
            process.kill()
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda server: server.stop(), self._servers.values()))


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Stage]:
    """Run a stage in a folder. Raises StartError."""
    stage = Stage(folder)
    try:
        stage.start()
        yield stage
    finally:
        stage.end()


def settings_of_ours() -> list[str]:
    """Give the names of the variables in our environment that are meant for the service."""
    return sorted(name for name in os.environ if name.startswith(SETTINGS))
