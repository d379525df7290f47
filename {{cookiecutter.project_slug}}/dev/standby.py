"""A streaming standby of an embedded PostgreSQL: a read replica of our own, to lag and to lose."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from dev.postgres import Postgres, program
from dev.process import wait_until
from dev.server import PATIENCE


class Standby(Postgres):
    """A hot standby: it follows ``primary``, and answers the same roles with the same data.

        with Postgres(a) as primary, Standby(b, primary) as standby:
            standby.until_streaming()
            standby.sql("SELECT pg_wal_replay_pause()")

    The primary has to run at the first start, which copies it; later the standby answers without
    it. It has the primary's settings, since some may not be lower here, and ``settings`` over them.
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
        often = {"wal_retrieve_retry_interval": "200ms"}  # look for a primary that was away
        every = {**often, **primary.settings, **(settings or {})}
        super().__init__(folder, settings=every, durable=durable)
        self._primary = primary

    def until_streaming(self) -> None:
        """Wait until it receives from the primary; TimeoutError after `PATIENCE`."""
        query = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"
        wait_until(lambda: self.sql(query) == "1", PATIENCE)

    def until_replayed(self) -> None:
        """Wait until it shows all that the primary has written; TimeoutError after `PATIENCE`."""
        written = self._primary.sql("SELECT pg_current_wal_lsn()")
        query = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
        wait_until(lambda: self.sql(query) == "t", PATIENCE)

    def promote(self) -> None:
        """Make it a primary of its own, for good; it takes writes when this returns."""
        self.sql("SELECT pg_promote()")

    def prepare(self, log: IO[bytes]) -> None:
        """Copy the primary, once; learn anew by which password it is entered."""
        shutil.copy2(self._primary.folder / "password", self.folder)
        passwords = self.folder / "pgpass"
        passwords.touch(mode=0o600)
        passwords.write_text(f"127.0.0.1:*:*:postgres:{self._password}\n")
        super().prepare(log)

    def command(self) -> list[str]:
        """Serve, and follow the primary."""
        return [*super().command(), f"--primary_conninfo={self._connection}"]

    def _make(self, data: Path, log: IO[bytes]) -> None:
        copy = [program("pg_basebackup"), f"--pgdata={data}", f"--dbname={self._connection}"]
        self._run([*copy, "--checkpoint=fast", "--no-sync"], log)
        (data / "standby.signal").touch()

    @property
    def _connection(self) -> str:
        """The primary, in libpq's words. The password is in a file: commands can be seen by all."""
        words = {
            "host": "127.0.0.1",
            "port": self._primary.port,
            "user": "postgres",
            "passfile": self.folder / "pgpass",
            "sslmode": "disable",
            "options": "-c search_path=",  # any will do: PGOPTIONS are for other databases
        }
        quoted = {name: re.sub(r"([\\'])", r"\\\1", str(word)) for name, word in words.items()}
        return " ".join(f"{name}='{word}'" for name, word in quoted.items())
