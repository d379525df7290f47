"""A streaming standby of an embedded PostgreSQL: a read replica that can lag and fail."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from dev import supervisor
from dev.postgres import Postgres, program
from dev.process import wait_until

CATCH_UP_TIMEOUT = 30.0
"""Seconds that a standby can take to connect to its primary, or to replay what it received."""


class Standby(Postgres):
    """A hot standby: it follows ``primary`` and serves the same data to the same roles.

        with Postgres(a) as primary, Standby(b, primary) as standby:
            standby.until_streaming()
            standby.sql("SELECT pg_wal_replay_pause()")

    The primary must run at the first start, which copies it. Later the standby starts without it.
    The standby has the primary's settings, because some must not be lower; ``settings`` override
    them.
    """

    name = "standby"
    setup = ()  # the primary's schema comes with its data

    def __init__(
        self,
        folder: Path,
        primary: Postgres,
        *,
        settings: Mapping[str, str] | None = None,
        durable: bool = False,
    ) -> None:
        retry = {"wal_retrieve_retry_interval": "200ms"}  # reconnect quickly to a primary
        combined = {**retry, **primary.settings, **(settings or {})}
        super().__init__(folder, settings=combined, durable=durable)
        self._primary = primary

    def until_streaming(self) -> None:
        """Wait until it receives from the primary. Raises TimeoutError after `CATCH_UP_TIMEOUT`."""
        query = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"
        wait_until(lambda: self.sql(query) == "1", CATCH_UP_TIMEOUT)

    def until_replayed(self) -> None:
        """Wait until it has replayed all that the primary has written. Raises TimeoutError."""
        written = self._primary.sql("SELECT pg_current_wal_lsn()")
        query = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
        wait_until(lambda: self.sql(query) == "t", CATCH_UP_TIMEOUT)

    def promote(self) -> None:
        """Promote it to a primary permanently. It accepts writes when this returns."""
        self.sql("SELECT pg_promote()")

    def prepare(self, log: IO[bytes]) -> None:
        """Copy the primary once, and its current password at every start."""
        shutil.copy2(self._primary.folder / "password", self.folder)
        passwords = self.folder / "pgpass"
        passwords.touch(mode=0o600)
        passwords.write_text(f"127.0.0.1:*:*:postgres:{self._password}\n")
        super().prepare(log)

    def command(self) -> list[str]:
        """Serve and follow the primary."""
        return [*super().command(), f"--primary_conninfo={self._connection}"]

    def _make(self, data: Path, log: IO[bytes]) -> None:
        copy = [program("pg_basebackup"), f"--pgdata={data}", f"--dbname={self._connection}"]
        self._run([*copy, "--checkpoint=fast", "--no-sync"], log)
        (data / "standby.signal").touch()

    @property
    def _connection(self) -> str:
        """The primary as libpq options. The password is in a file: every user can see commands."""
        options = {
            "host": "127.0.0.1",
            "port": self._primary.port,
            "user": "postgres",
            "passfile": self.folder / "pgpass",
            "sslmode": "disable",
            "options": "-c search_path=",  # any value: PGOPTIONS must not apply
        }
        quoted = {name: re.sub(r"([\\'])", r"\\\1", str(value)) for name, value in options.items()}
        return " ".join(f"{name}='{value}'" for name, value in quoted.items())


def freeze(server: Postgres, kind: str) -> None:
    """Suspend only a server's processes of one kind, until its `resume`.

    kind: a ``backend_type`` of ``pg_stat_activity``, for example "walsender" or "walreceiver".

    A primary with frozen WAL senders responds to all clients except its connected standbys. A
    standby that reconnects gets a new sender. Raises RuntimeError if there is no such process.
    """
    rows = server.sql("SELECT pid, backend_type FROM pg_stat_activity").splitlines()
    pids = [int(pid) for pid, found in (row.split("|") for row in rows) if found == kind]
    if not pids:
        raise RuntimeError(f"{server.name} has no {kind}.")
    supervisor.suspend(pids)
