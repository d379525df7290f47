"""The members of a group under sentinels: data nodes, and the sentinels themselves."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from dev.valkey import Valkey

MASTER = "mymaster"
"""What sentinels call the group."""


class Member(Valkey):
    """A server of a group. It starts again with what it last knew: who its primary is, say.

    All members write one log; as each process inherits it, the lock on it tells whether any lives.
    """

    def __init__(
        self,
        folder: Path,
        log: Path,
        *,
        settings: Mapping[str, str] | None = None,
        durable: bool = False,
    ) -> None:
        super().__init__(folder, settings=settings, durable=durable)
        self.log = log
        self._shared_log: IO[bytes] | None = None
        self._part = ""

    @property
    def runs(self) -> bool:
        """Whether it has been started and has not ended, frozen or not."""
        return self._process is not None and self._process.status is None

    def begin(self, log: IO[bytes], part: str = "") -> None:
        """Start it anew: ``part`` is the configuration that makes it a member, ``log`` is open."""
        self._shared_log, self._part = log, part
        self._configuration.unlink(missing_ok=True)
        self.start()

    def prepare(self, log: IO[bytes]) -> None:  # noqa: ARG002
        """Write the configuration, which the server then keeps up to date."""
        if not self._configuration.exists():
            self._configuration.touch(mode=0o600)
            self._configuration.write_text(self._part)

    def command(self) -> list[str]:
        """Serve by that file."""
        program, *options = super().command()
        return [program, str(self._configuration), *options]

    @property
    def _configuration(self) -> Path:
        return self.folder / "valkey.conf"

    @contextlib.contextmanager
    def _sole_use_of_folder(self) -> Iterator[IO[bytes]]:
        """Leave that to the group, whose log is locked while any member lives."""
        if self._shared_log is None or self._shared_log.closed:
            raise RuntimeError(f"{self.folder.name} cannot start before its group.")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield self._shared_log


class DataNode(Member):
    """A primary or replica."""

    def follows(self, primary: "DataNode") -> bool:
        """Tell whether it is a replica of that primary, and has all of its data."""
        try:
            told = self.info("replication")
        except (OSError, RuntimeError):  # disconnected by a sentinel that reconfigures it
            return False
        followed = (told.get("master_port"), told.get("master_link_status"))
        return followed == (str(primary.port), "up")


class Sentinel(Member):
    """One of those who watch the others and agree on who is the primary."""

    name = "sentinel"

    def command(self) -> list[str]:
        """Serve as a sentinel."""
        return [*super().command(), "--sentinel"]

    def view(self) -> str:
        """Give how it sees the group: its status, primary and size; nothing if it is silent."""
        try:
            return self.info("sentinel").get("master0", "")
        except (OSError, RuntimeError):
            return ""
