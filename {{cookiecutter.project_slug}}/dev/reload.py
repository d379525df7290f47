"""Serve, restart on every change of the source, and report the result of each start."""

import contextlib
import http
import os
import shlex
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from watchfiles import watch

from dev.process import Process, StartError
from dev.server import Server
from dev.service import Service

SOURCE = Path("src")
BAD_SETTINGS = 2
"""The service's exit status for invalid settings, which no change of the source fixes."""
STOPPED_WHILE_STARTING = 128 + signal.SIGTERM
"""The service's exit status if it is stopped before it can shut down gracefully."""
SLOW_START = 5.0
"""Seconds after which a service that responds, but is not ready, is reported."""
RESTART_DELAY = 10.0
"""Seconds between the end of a server and its restart: time to see the probes change."""

MESSAGES = {
    "up": """
The service is up, {age:.1f} s after its start.

  API      {service.url}/docs
  Probes   {service.url}/health/startup  /health/ready  /health/live
  Details  {service.details_url}

Ctrl-C stops it. A change under src/ restarts it.
""",
    "up again": "The service is up again, {age:.1f} s after its start.",
    "slow": "The service responds but is not ready yet: {service.details_url} shows why.",
    "ended": "The service ended with status {service.status}. A change under src/ restarts it.",
    "bad settings": "The service did not start. Fix its settings first.",
}


def serve(service: Service, servers: Iterable[Server], setups: Mapping[Server, Process]) -> int:
    """Serve until interrupted, or until the first start fails because of its settings.

    setups: the running processes that prepare the servers for the service.

    Returns the exit status. The loss of the terminal counts as an interruption, because make does
    not pass SIGHUP on to its children.
    """
    terminals = [fd for fd in (0, 1, 2) if os.isatty(fd)]
    running = dict(setups)
    restarts = ServerRestarts(servers)
    start = ServiceStart(service)
    try:
        for changes in watch(SOURCE, rust_timeout=100, yield_on_timeout=True):
            if changes:
                names = sorted({Path(path).name for _, path in changes if Path(path).exists()})
                _print(f"Changed: {', '.join(names) or 'files were deleted'}.")
                service.stop()
                start = ServiceStart(service, again=True)
            start.report_change()
            for server in [server for server, setup in running.items() if setup.status is not None]:
                if status := running.pop(server).stop():
                    command = shlex.join(server.setup)
                    where = f"Its messages are above; the log is {server.log}."
                    _print(f"`{command}` failed with status {status}. {where}")
            restarts.restart_due()
            if start.is_fatal or not all(os.isatty(fd) for fd in terminals):
                break
    except KeyboardInterrupt:
        _print("Stopping: running requests can finish. Press Ctrl-C again to end them.")
    status = service.stop()
    return 0 if status == STOPPED_WHILE_STARTING else status


class ServiceStart:
    """One start of the service. Each change of its state is reported once."""

    def __init__(self, service: Service, *, again: bool = False) -> None:
        self._again = again
        self._service = service
        self._started = time.monotonic()
        self._reported = ""
        service.start()

    @property
    def is_fatal(self) -> bool:
        """Whether no change of the source can help."""
        return self._reported == "bad settings"

    def report_change(self) -> None:
        """Print the state of the service if it has changed."""
        age = time.monotonic() - self._started
        state = self._state(age)
        if state != self._reported:
            self._reported = state
            _print(MESSAGES[state].format(age=age, service=self._service))

    def _state(self, age: float) -> str:
        if self._service.status == BAD_SETTINGS and not self._again:
            return "bad settings"
        if self._service.status is not None:
            return "ended"
        if self._reported.startswith("up"):
            return self._reported
        code = self._service.probe("ready")
        if code == http.HTTPStatus.OK:
            return "up again" if self._again else "up"
        return "slow" if code and age > SLOW_START else self._reported


class ServerRestarts:
    """Restarts servers that have ended, for example because somebody killed them."""

    def __init__(self, servers: Iterable[Server]) -> None:
        self._servers = list(servers)
        self._due: dict[Server, float] = {}

    def restart_due(self) -> None:
        """Report the servers that have ended, and restart those whose delay is over.

        A server that does not come up again is reported, and is not restarted any more.
        """
        for group in list(self._servers):
            for server in group.ended():
                if server not in self._due:
                    self._due[server] = time.monotonic() + RESTART_DELAY
                    _print(f"{server.name} has ended. It restarts in {RESTART_DELAY:g} s.")
                elif time.monotonic() >= self._due[server]:
                    del self._due[server]
                    try:
                        server.start()
                        _print(f"{server.name} is up again.")
                    except StartError as error:
                        self._servers.remove(group)
                        _print(f"{error}\nStop `make dev` and start it again.")


def _print(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone
        print(text, flush=True)
