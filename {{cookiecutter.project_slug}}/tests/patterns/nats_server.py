"""NATS servers with JetStream, in temporary folders, which a test can break."""

import http.client
import socket
from typing import IO

from dev.server import Server

from ..tools import tool


class Nats(Server):
    """One server. `cluster`: the settings with which it finds the other servers of a cluster."""

    name = "nats"
    variable = "NATS_URL"
    ports = 3

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def prepare(self, log: IO[bytes]) -> None:
        """Create nothing: the server creates its store."""

    def command(self) -> list[str]:
        store = ["--jetstream", "--store_dir", str(self.folder / "store")]
        listen = ["--addr", "127.0.0.1", "--port", str(self.port)]
        monitoring = ["--http_port", str(self.port + 1)]
        cluster = [f"--{name}={value}" for name, value in self.settings.items()]
        return [tool("nats-server"), *listen, *monitoring, *store, *cluster]

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port + 1, timeout=1)
        try:
            connection.request("GET", "/varz")
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()
