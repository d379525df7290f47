"""PgBouncer in transaction mode, between the service and its database."""

import os
import shutil
import socket
import subprocess
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
client_tls_sslmode = allow
client_tls_cert_file = {folder}/tls.crt
client_tls_key_file = {folder}/tls.key
"""
CERTIFICATE = (
    *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
    *("-batch", "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
)
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

    @property
    def tls_url(self) -> str:
        """The same, with TLS and a certificate that must be valid."""
        url = self.url.replace("127.0.0.1", "localhost")
        return f"{url}?sslmode=verify-full&sslrootcert={self.folder / 'tls.crt'}"

    def renew_certificate(self) -> None:
        """Replace the certificate, which is its own authority. Restart the pooler after this."""
        files = [self.folder / name for name in ("tls.key", "tls.crt")]
        new = [f"{file}.new" for file in files]
        command = ["openssl", *CERTIFICATE, "-keyout", new[0], "-out", new[1]]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        for file, renewed in zip(files, new, strict=True):
            Path(renewed).replace(file)

    def prepare(self, _: IO[bytes]) -> None:
        """Create a certificate, and write the list of users. The configuration needs the port."""
        if not (self.folder / "tls.crt").exists():
            self.renew_certificate()
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
    missing = [each for each in (PROGRAM, "openssl") if not shutil.which(each)]
    return f"{missing[0]} is not installed: apt install {missing[0]}" if missing else ""
