"""An embedded PostgreSQL with a tablespace on a disk of a few megabytes, which a test can fill."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev.postgres import Postgres

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
"""A program that mounts a disk in its mount namespace, and becomes another program."""


class SmallDisk(Postgres):
    """A server in a mount namespace of its own. Its tablespace `small` is a tmpfs."""

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    def command(self) -> list[str]:
        command = super().command()
        program = command[command.index("--") + 1 :] if "--" in command else command
        self.disk.mkdir(exist_ok=True)
        return [*NAMESPACE, "--", sys.executable, "-c", MOUNT, str(self.disk), *program]

    def move(self, table: str) -> None:
        """Move a table with its indexes to the small disk."""
        self.sql(f"CREATE TABLESPACE small LOCATION '{self.disk}'")
        indexes = self.sql(
            f"SELECT indexrelid::regclass FROM pg_index WHERE indrelid = '{table}'::regclass"
        )
        self.sql(f"ALTER TABLE {table} SET TABLESPACE small")
        for index in indexes.splitlines():
            self.sql(f"ALTER INDEX {index} SET TABLESPACE small")

    def fill(self, table: str) -> None:
        """Fill the disk, and the free space in the pages of a table."""
        self.sql("CREATE TABLE filler (id int, data text) TABLESPACE small")
        for rows in (1000, 100, 10, 1):
            with_data = (
                f"INSERT INTO filler SELECT n, repeat('x', 900) FROM generate_series(1, {rows}) n"
            )
            while self._succeeds(with_data):
                pass
        while self._succeeds(f"INSERT INTO {table} (name) SELECT 'x' FROM generate_series(1, 10)"):
            pass
        while self._succeeds(f"INSERT INTO {table} (name) VALUES ('x')"):
            pass

    def free(self) -> None:
        """Make the space available again."""
        self.sql("DROP TABLE filler")

    def _succeeds(self, statement: str) -> bool:
        try:
            self.sql(statement)
        except RuntimeError as error:
            if "No space left on device" not in str(error):
                raise
            return False
        return True


def require_small_disk() -> None:
    """Skip the test if this machine cannot mount a disk in a user namespace. Fail in a pipeline."""
    command = [*NAMESPACE, "--", "true"]
    if shutil.which("unshare") and not subprocess.run(command, check=False).returncode:
        return
    reason = "a small disk needs Linux with user namespaces"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
