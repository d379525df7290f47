"""The service as a child process, which can be started, probed and stopped repeatedly."""

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
    "SERVICE_DRAIN_DELAY": "0",  # there is no load balancer that has to notice
    "SERVICE_SHUTDOWN_TIMEOUT": "5",  # an open stream must not delay a restart for longer
}
STOP_TIMEOUT = 60.0
"""Seconds until a service that hangs in its shutdown is killed. Its own limits are shorter."""


class Service:
    """The service as `python -m` runs it. ``environment`` overrides `DEFAULTS`."""

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
        """The exit status if the service has ended by itself; None while it runs."""
        return self._process.status if self._process else None

    def start(self) -> None:
        """Start the process. It does not respond yet."""
        command = [sys.executable, "-m", "reference_service"]
        self._process = Process(command, environment=self.environment, grace=STOP_TIMEOUT)

    def stop(self) -> int:
        """Shut it down gracefully and return its exit status; 0 if it was never started."""
        process, self._process = self._process, None
        return process.stop() if process else 0

    def probe(self, name: str) -> int | None:
        """Return the HTTP status of a probe, or None if there is no response."""
        with contextlib.suppress(OSError, OverflowError, http.client.HTTPException):
            connection = http.client.HTTPConnection(self._address, timeout=0.5)
            with contextlib.closing(connection):
                connection.request("GET", f"/health/{name}")
                return connection.getresponse().status
        return None

    def require_ports(self) -> None:
        """Raise StartError if another program uses a port of the service.

        The service itself reports all other errors of a port.
        """
        for variable in ("SERVICE_PORT", "SERVICE_MANAGEMENT_PORT"):
            port = self.environment[variable]
            if port.isdecimal() and _is_in_use(self._host, int(port)):
                raise StartError(
                    f"Port {port} is in use by another program: set {variable} to a free one."
                )


def _is_in_use(host: str, port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the service does
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            return isinstance(error, OSError) and error.errno == errno.EADDRINUSE
    return False
