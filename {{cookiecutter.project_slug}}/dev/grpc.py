"""A downstream service of our own: a gRPC server that says of itself whatever we tell it to."""

import json
import socket
import sys
from pathlib import Path
from typing import IO

from dev.server import Server

SERVICE = "reference.Downstream"
"""The service that is registered with the server's health service; another is "", the whole."""


class Downstream(Server):
    """One gRPC server with the standard health service, `grpc.health.v1`.

        with Downstream(folder) as downstream:
            downstream.set_status("NOT_SERVING")

    With ``settings={"health": "off"}`` it has no health service.
    """

    name = "downstream"
    variable = "GRPC_TARGETS"

    @property
    def url(self) -> str:
        """The one target, and the service in it that is asked for."""
        return f"downstream={self.address}/{SERVICE}"

    @property
    def address(self) -> str:
        """The server alone."""
        return f"127.0.0.1:{self.port}"

    def set_status(self, status: str, service: str = SERVICE) -> None:
        """Have a service's health be so from now on, over restarts too.

        status: "SERVING", "NOT_SERVING", "UNKNOWN", "SERVICE_UNKNOWN"; or the name of a gRPC status
            code that the call is to end with, as "NOT_FOUND" for a service that is not registered.
        """
        statuses = json.loads(self._statuses.read_text()) if self._statuses.exists() else {}
        new = self.folder / "statuses.new"
        new.write_text(json.dumps({**statuses, service: status}))
        new.replace(self._statuses)

    def prepare(self, log: IO[bytes]) -> None:  # noqa: ARG002
        """Serve all that there is, unless an earlier run left other statuses."""
        if not self._statuses.exists():
            self.set_status("SERVING", "")
            self.set_status("SERVING")

    def command(self) -> list[str]:
        """Serve on loopback. Without this folder on the path, where `grpc` would be this file."""
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        script = Path(__file__).with_name("grpc_server.py")
        where = [f"127.0.0.1:{self.port}", str(self.folder)]
        return [sys.executable, "-P", str(script), *where, *options]

    def answers(self) -> bool:
        """Tell whether it has written that the port is its own, and greets whoever connects."""
        try:
            owner = int((self.folder / "pid").read_text())
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.2) as connection:
                frame = connection.recv(9)
        except (OSError, ValueError):
            return False
        return owner in self.process.pids and frame[3:4] == b"\x04"  # SETTINGS, RFC 9113 section 6

    @property
    def _statuses(self) -> Path:
        return self.folder / "statuses.json"
