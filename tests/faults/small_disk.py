"""A PostgreSQL with a second, small disk, which can be filled without privileges."""

import shutil
import subprocess
import sys

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
"""A program that mounts the disk in its own mount namespace, and becomes another program."""


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


def cannot_mount() -> str:
    """Return why this machine cannot mount a small disk, or an empty string."""
    command = [*NAMESPACE, "--", "true"]
    if shutil.which("unshare") and not subprocess.run(command, check=False).returncode:
        return ""
    return "a small disk needs Linux with user namespaces"
