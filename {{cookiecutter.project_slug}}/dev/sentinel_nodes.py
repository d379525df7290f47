"""The members of a Sentinel group: data nodes and sentinels."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from dev.valkey import Valkey

MASTER = "mymaster"
"""The group's name for the sentinels."""


class Member(Valkey):
    """A server of a group. A restart keeps its configuration, for example its primary.

    All members write to one log. Each process inherits it, so it is locked while any member runs.
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
        self._initial_configuration = ""

    def configure_and_start(self, log: IO[bytes], configuration: str = "") -> None:
        """Start it with a new configuration, which makes it a member, and an open log."""
        self._shared_log, self._initial_configuration = log, configuration
        self._configuration.unlink(missing_ok=True)
        self.start()

    def prepare(self, log: IO[bytes]) -> None:  # noqa: ARG002
        """Write the configuration file, which the server then updates itself."""
        if not self._configuration.exists():
            self._configuration.touch(mode=0o600)
            self._configuration.write_text(self._initial_configuration)

    def command(self) -> list[str]:
        """Serve with that file."""
        program, *options = super().command()
        return [program, str(self._configuration), *options]

    @property
    def _configuration(self) -> Path:
        return self.folder / "valkey.conf"

    @contextlib.contextmanager
    def _locked_folder(self) -> Iterator[IO[bytes]]:
        """Use the group's log, which is locked while any member runs."""
        if self._shared_log is None or self._shared_log.closed:
            raise RuntimeError(f"{self.folder.name} cannot start before its group.")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield self._shared_log


class DataNode(Member):
    """A primary or a replica."""

    def is_replica_of(self, primary: "DataNode") -> bool:
        """Whether it is a replica of that primary and has received all its data."""
        try:
            info = self.info("replication")
        except (
            OSError,
            RuntimeError,
        ):  # a sentinel disconnects clients when it reconfigures the node
            return False
        link = (info.get("master_port"), info.get("master_link_status"))
        return link == (str(primary.port), "up")


class Sentinel(Member):
    """A sentinel, which monitors the data nodes and agrees with the others on the primary."""

    name = "sentinel"

    def command(self) -> list[str]:
        """Serve as a sentinel."""
        return [*super().command(), "--sentinel"]

    def group_state(self) -> str:
        """Return the group's status, primary and size; empty if the sentinel does not respond."""
        try:
            return self.info("sentinel").get("master0", "")
        except (OSError, RuntimeError):
            return ""
