"""A PostgreSQL with a second, small disk, which can be filled without privileges."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

from dev.postgres import Postgres
from dev.process import Process, wait_until

SIZE = "12m"
NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--mount", "--keep-caps")
MOUNT = f"""
import ctypes, os, sys
disk, *command = sys.argv[1:]
options = b"size={SIZE},mode=700,uid=65534,gid=65534"
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"tmpfs", disk.encode(), b"tmpfs", 0, options):
    raise OSError(ctypes.get_errno(), "mount")
os.execv(command[0], command)
"""
"""A program that mounts the disk in its own mount namespace, and becomes another program."""
WAL_SIZE = 48 * 2**20
"""Bytes of the disk of the write-ahead log: three of its files."""
MOUNT_TIMEOUT = 10.0
"""Seconds within which the disk is mounted."""
MAX_SWITCHES = 10
"""Files of the write-ahead log that the server may still have room for on a full disk."""


class SmallDiskPostgres(Postgres):
    """A server whose tables can be moved to a disk that only it sees."""

    def command(self) -> list[str]:
        """Serve in a mount namespace."""
        command = super().command()
        program = command[command.index("--") + 1 :] if "--" in command else command
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        return [*NAMESPACE, "--", sys.executable, "-c", MOUNT, str(disk), *program]

    def fill_disk(self, table: str) -> None:
        """Move a table to the disk, and fill the disk.

        The fill factor makes each insert need a new page, which a full disk does not have.
        """
        self.sql(f"CREATE TABLESPACE small LOCATION '{self.folder / 'disk'}'")
        self.sql(f"ALTER TABLE {table} SET (fillfactor = 10)")
        self.sql(f"ALTER TABLE {table} SET TABLESPACE small")
        self.sql("CREATE TABLE filler (data text) TABLESPACE small")
        for rows in (1000, 100, 10, 1):
            filler = f"INSERT INTO filler SELECT repeat('x', 900) FROM generate_series(1, {rows})"
            while self._succeeds(filler):
                pass

    def free_disk(self, table: str) -> None:
        """Move the table back, and remove the disk from the database."""
        self.sql("DROP TABLE filler")
        self.sql(f"ALTER TABLE {table} RESET (fillfactor)")
        self.sql(f"ALTER TABLE {table} SET TABLESPACE pg_default")
        self.sql("DROP TABLESPACE small")

    def _succeeds(self, statement: str) -> bool:
        try:
            self.sql(statement)
        except RuntimeError as error:
            if "No space left on device" not in str(error):
                raise
            return False
        return True


class SmallWalDiskPostgres(Postgres):
    """A server whose write-ahead log is on a small disk, which outlives the server."""

    def prepare(self, log: IO[bytes]) -> None:
        """Mount the disk in a mount namespace that a process keeps, and move the log to it."""
        super().prepare(log)
        if self._keeper is not None:
            return
        mounted, link = self.folder / "wal", self.folder / "data" / "pg_wal"
        mounted.mkdir()
        program = MOUNT.replace(f"size={SIZE}", f"size={WAL_SIZE}")
        keep = [
            sys.executable,
            "-c",
            program,
            str(mounted),
            shutil.which("sleep") or "",
            "infinity",
        ]
        with Path(os.devnull).open("wb") as output:  # the log is locked for the server
            self._keeper = Process([*NAMESPACE, "--", *keep], output=output)
        wait_until(lambda: self._is_mounted(mounted), MOUNT_TIMEOUT)
        shutil.copytree(link, self._seen(mounted), dirs_exist_ok=True)
        shutil.rmtree(link)
        link.symlink_to(mounted)

    def command(self) -> list[str]:
        """Serve in that namespace."""
        command = super().command()
        program = command[command.index("--") + 1 :] if "--" in command else command
        target = ["--target", str(self._keeper_pid), "--user", "--mount"]
        return ["nsenter", *target, "--preserve-credentials", "--", *program]

    _keeper: Process | None = None

    @property
    def _keeper_pid(self) -> int:
        """The process that became `sleep`: the last of the chain."""
        assert self._keeper
        return self._keeper.pids[-1]

    def _seen(self, path: Path) -> Path:
        """Return a path in the namespace as this process can open it."""
        return Path(f"/proc/{self._keeper_pid}/root{path}")

    def _is_mounted(self, path: Path) -> bool:
        assert self._keeper
        return bool(self._keeper.pids) and self._seen(path).is_mount()

    def fill_disk(self) -> None:
        """Fill the disk, and write to the log until the server needs a new file for it."""
        filler = self._seen(self.folder / "wal") / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with contextlib.suppress(RuntimeError):  # the server ends
            for _ in range(MAX_SWITCHES):
                self.sql("SELECT pg_logical_emit_message(true, '', ''); SELECT pg_switch_wal()")

    def free_disk(self) -> None:
        """Free the disk, and start the server if it has ended."""
        (self._seen(self.folder / "wal") / "filler").unlink()
        if not self.is_running:
            self.start()


def cannot_mount() -> str:
    """Return why this machine cannot mount a small disk, or an empty string."""
    command = [*NAMESPACE, "--", "true"]
    if shutil.which("unshare") and not subprocess.run(command, check=False).returncode:
        return ""
    return "a small disk needs Linux with user namespaces"
