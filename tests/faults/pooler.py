"""PgBouncer in transaction mode, between the service and its database."""

import os
import shutil
import socket
from pathlib import Path
from typing import IO

from dev.postgres import Postgres
from dev.server import Server

PROGRAM = "pgbouncer"
CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={target} pool_size=4
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
server_login_retry = 1
unix_socket_dir =
"""
RESPONSE_TIMEOUT = 1.0
"""Seconds within which a pooler that runs accepts a connection."""


class Pooler(Server):
    """A pooler with four connections to the server."""

    name = PROGRAM
    variable = "DATABASE_URL"

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        super().__init__(folder)
        self._postgres = postgres

    @property
    def url(self) -> str:
        """The URL of the service's role and database, through the pooler."""
        return self._postgres.url.replace(f":{self._postgres.port}/", f":{self.port}/")

    def prepare(self, _: IO[bytes]) -> None:
        """Write the list of users. The configuration needs the port."""
        password = self._postgres.url.split(":")[2].split("@")[0]
        (self.folder / "users").write_text(f'"service" "{password}"\n')

    def command(self) -> list[str]:
        """Write the configuration, and serve with it. PgBouncer refuses to run as root."""
        target, file = self._postgres.port, self.folder / "pgbouncer.ini"
        text = CONFIGURATION.format(target=target, port=self.port, folder=self.folder)
        file.write_text(text)
        as_nobody = [] if os.geteuid() else ["unshare", "--user", "--map-user=65534", "--"]
        return [*as_nobody, PROGRAM, str(file)]

    def is_ready(self) -> bool:
        """Try to connect."""
        try:
            socket.create_connection(("127.0.0.1", self.port), RESPONSE_TIMEOUT).close()
        except OSError:
            return False
        return True


def no_pooler() -> str:
    """Return why this machine cannot run the pooler, or an empty string."""
    return "" if shutil.which(PROGRAM) else f"{PROGRAM} is not installed: apt install {PROGRAM}"
