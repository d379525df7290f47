"""An embedded gRPC server whose health can be set: a downstream service that counts stock."""

import json
import socket
import sys
from pathlib import Path
from typing import IO

from dev.server import Server

SERVICE = "reference.Downstream"
"""The service name that the health service knows; another is "", the whole server."""


class Downstream(Server):
    """One gRPC server with the standard health service, `grpc.health.v1`, and `reference.Stock`.

        with Downstream(folder) as downstream:
            downstream.set_status("NOT_SERVING")

    With ``settings={"health": "off"}`` it has no health service. With the files ``cert`` and
    ``key`` it speaks TLS, and with ``clients`` it accepts only clients with a certificate.
    """

    name = "downstream"
    variable = "GRPC_TARGETS"

    @property
    def url(self) -> str:
        """The one target, with the service name to check."""
        return f"downstream={self.address}/{SERVICE}"

    @property
    def address(self) -> str:
        """The server's host and port."""
        return f"127.0.0.1:{self.port}"

    def set_status(self, status: str, service: str = SERVICE) -> None:
        """Set the health of a service. Restarts keep it.

        status: "SERVING", "NOT_SERVING", "UNKNOWN", "SERVICE_UNKNOWN"; or the name of the gRPC
            status code that ends the call, for example "NOT_FOUND" for an unregistered service.
            With "NOT_SERVING" and "UNAVAILABLE", the stock cannot be read either.
        """
        statuses = json.loads(self._statuses.read_text()) if self._statuses.exists() else {}
        new = self.folder / "statuses.new"
        new.write_text(json.dumps({**statuses, service: status}))
        new.replace(self._statuses)

    def prepare(self, log: IO[bytes]) -> None:  # noqa: ARG002
        """Set every status to SERVING, unless an earlier run has left others."""
        if not self._statuses.exists():
            self.set_status("SERVING", "")
            self.set_status("SERVING")

    def command(self) -> list[str]:
        """Serve on loopback, without this folder on the path: `grpc` would be this file."""
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        script = Path(__file__).with_name("grpc_server.py")
        where = [f"127.0.0.1:{self.port}", str(self.folder)]
        return [sys.executable, "-P", str(script), *where, *options]

    def is_ready(self) -> bool:
        """Compare the process id that it has written, and expect HTTP/2 settings on the port.

        With TLS they are encrypted, and that it accepts a connection must do.
        """
        try:
            owner = int((self.folder / "pid").read_text())
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.2) as connection:
                frame = b"" if "cert" in self.settings else connection.recv(9)
        except (OSError, ValueError):
            return False
        settings = frame[3:4] == b"\x04"  # RFC 9113, section 6.5
        return owner in self.process.pids and (settings or "cert" in self.settings)

    @property
    def _statuses(self) -> Path:
        return self.folder / "statuses.json"
