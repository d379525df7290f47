"""The service as a child process: started, asked how it is, stopped, and started again."""

import contextlib
import errno
import http.client
import socket
import sys
from collections.abc import Mapping

from dev.process import Process, StartError

DEFAULTS = {
    "SERVICE_ENVIRONMENT": "development",
    "SERVICE_HOST": "127.0.0.1",
    "SERVICE_PORT": "8000",
    "SERVICE_MANAGEMENT_PORT": "9000",
    "SERVICE_DRAIN_DELAY": "0",  # no load balancer has to notice
    "SERVICE_SHUTDOWN_TIMEOUT": "5",  # an open stream must not hold up a reload for longer
}
GRACE = 60.0
"""Seconds until a service that hangs in its drain is killed; its own limits come first."""


class Service:
    """The service as `python -m` runs it, with ``environment`` over `DEFAULTS`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = {**DEFAULTS, **environment}
        self._process: Process | None = None
        host = self.environment["SERVICE_HOST"]
        self._host = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104
        self._address = f"{self._host}:{self.environment['SERVICE_PORT']}"
        self.url = f"http://{self._address}"
        self.details_url = f"http://127.0.0.1:{self.environment['SERVICE_MANAGEMENT_PORT']}/health"

    @property
    def status(self) -> int | None:
        """The exit status of a service that has ended by itself; None while it runs."""
        return self._process.status if self._process else None

    def start(self) -> None:
        """Start it; it is not up yet."""
        command = [sys.executable, "-m", "reference_service"]
        self._process = Process(command, environment=self.environment, grace=GRACE)

    def stop(self) -> int:
        """Let it drain and end, and give its exit status; 0 if it was never started."""
        process, self._process = self._process, None
        return process.stop() if process else 0

    def ask(self, probe: str) -> int | None:
        """Give the HTTP status of a probe, or None if nobody answers."""
        with contextlib.suppress(OSError, OverflowError, http.client.HTTPException):
            connection = http.client.HTTPConnection(self._address, timeout=0.5)
            with contextlib.closing(connection):
                connection.request("GET", f"/health/{probe}")
                return connection.getresponse().status
        return None

    def require_ports(self) -> None:
        """Raise StartError if another program has a port of the service.

        Other faults of a port are the service's to report.
        """
        for variable in ("SERVICE_PORT", "SERVICE_MANAGEMENT_PORT"):
            port = self.environment[variable]
            if port.isdecimal() and _is_taken(self._host, int(port)):
                raise StartError(
                    f"Port {port} is in use by another program: set {variable} to a free one."
                )


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the service does
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            return isinstance(error, OSError) and error.errno == errno.EADDRINUSE
    return False
