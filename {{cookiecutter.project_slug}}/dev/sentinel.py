"""An embedded Sentinel group: a primary and two replicas, monitored by three sentinels."""

import contextlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from dev.process import Process, StartError, wait_until
from dev.sentinel_nodes import MASTER, DataNode, Sentinel
from dev.server import START_TIMEOUT, Server

MONITOR = f"""\
sentinel monitor {MASTER} 127.0.0.1 %d 2
sentinel down-after-milliseconds {MASTER} 1000
sentinel failover-timeout {MASTER} 5000
sentinel parallel-syncs {MASTER} 2
"""


class Sentinels(Server):
    """Six servers that start and stop together. Each one can be broken alone.

        with Sentinels(folder) as group:
            group.primary.pause()
            wait_until(lambda: group.current_primary() in group.replicas, 30)

    settings, password: those of the data nodes. sentinel_password: that of the sentinels.

    A member that restarts keeps its last configuration, as real ones do. A group that restarts is
    configured again, with the data of its last primary. The group's `port`, `process` and `command`
    are those of the first sentinel.
    """

    name = "sentinel"
    variable = "REDIS_SENTINELS"
    replaces = ("REDIS_URL",)

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, str] | None = None,
        durable: bool = False,
        password: str = "",
        sentinel_password: str = "",
    ) -> None:
        super().__init__(folder, settings=settings, durable=durable)
        fast = {
            "repl-diskless-sync-delay": "0",  # copy the data to a new replica at once
            "shutdown-timeout": "0",  # stop without waiting for a slow replica
        }
        secret = {"requirepass": password, "primaryauth": password} if password else {}
        self._nodes = [
            DataNode(
                self.folder / f"node-{n}",
                self.log,
                settings={**fast, **secret, **self.settings},
                durable=durable,
            )
            for n in (1, 2, 3)
        ]
        secret = {"requirepass": sentinel_password} if sentinel_password else {}
        secret |= {"appendonly": "no"}  # a sentinel keeps its state in its configuration file
        self.sentinels = [
            Sentinel(self.folder / f"sentinel-{n}", self.log, settings=secret) for n in (1, 2, 3)
        ]
        self.primary, *self.replicas = self._nodes
        """The roles at the latest start. `current_primary` returns the present one."""
        self._password, self._sentinel_password = password, sentinel_password
        self._running = contextlib.ExitStack()
        self._last_primary = self.folder / "primary"

    @property
    def members(self) -> list[DataNode | Sentinel]:
        """All six servers."""
        return [self.primary, *self.replicas, *self.sentinels]

    @property
    def url(self) -> str:
        """The addresses of the sentinels."""
        return ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)

    def current_primary(self) -> DataNode | None:
        """Return the primary according to most sentinels; None if no sentinel responds."""
        views = Counter(view for sentinel in self.sentinels if (view := sentinel.group_state()))
        for view, _ in views.most_common(1):
            return next(node for node in self._nodes if f"127.0.0.1:{node.port}," in view)
        return None

    def ended(self) -> list[Server]:
        """Return the members that have ended by themselves."""
        return [server for member in self.members for server in member.ended()]

    def failover(self) -> None:
        """Request a failover while all members are healthy."""
        self.sentinels[0].ask("SENTINEL", "FAILOVER", MASTER)

    def is_ready(self) -> bool:
        """Whether all members respond and know each other."""
        primary = self.current_primary()
        if primary is None or not all(member.is_ready() for member in self.members):
            return False
        complete = f"status=ok,address=127.0.0.1:{primary.port},slaves=2,sentinels=3"
        return all(complete in sentinel.group_state() for sentinel in self.sentinels) and all(
            node is primary or node.is_replica_of(primary) for node in self._nodes
        )

    def prepare(self, log: IO[bytes]) -> None:
        """Start all members, with the last primary as the primary."""
        last = self._last_primary.read_text() if self._last_primary.exists() else ""
        self._nodes.sort(key=lambda node: node.folder.name != last)
        self.primary, *self.replicas = self._nodes
        self.primary.configure_and_start(log)
        for replica in self.replicas:
            replica.configure_and_start(log, f"replicaof 127.0.0.1 {self.primary.port}\n")
        # A sentinel asks a new primary for its replicas, and then only every 10 s.
        primary = self.primary
        wait_until(lambda: all(r.is_replica_of(primary) for r in self.replicas), START_TIMEOUT)
        monitor = MONITOR % self.primary.port
        if self._password:
            monitor += f'sentinel auth-pass {MASTER} "{self._password}"\n'
        if self._sentinel_password:
            monitor += f'sentinel sentinel-pass "{self._sentinel_password}"\n'
        for sentinel in self.sentinels:
            sentinel.configure_and_start(log, monitor)

    def start(self) -> None:
        """Start all members and return when the group is ready. Raises StartError."""
        if self.sentinels[0].is_running:
            raise RuntimeError(f"{self.name} is already running on port {self.port}.")
        self.stop()  # what a crash left
        with contextlib.ExitStack() as started:
            log = started.enter_context(self._locked_folder())
            started.callback(self._stop_members)
            try:
                self.prepare(log)
                wait_until(self.is_ready, START_TIMEOUT)
            except TimeoutError:
                raise StartError(
                    f"{self.name} did not become ready. See its log: {self.log}"
                ) from None
            self._running = started.pop_all()

    def stop(self) -> None:
        """Shut all members down, the sentinels first, and store which node is the primary."""
        if self.sentinels[0].is_running and (primary := self.current_primary()):
            self._last_primary.write_text(primary.folder.name)
        self._running.close()

    def _stop_members(self) -> None:
        for member in reversed(self.members):
            member.stop()

    def kill(self) -> None:
        """Kill all members."""
        for member in self._running_members():
            member.kill()
        self._running.close()

    def pause(self) -> None:
        """Freeze all members."""
        for member in self._running_members():
            member.pause()

    def resume(self) -> None:
        """Continue all members after `pause`."""
        for member in self._running_members():
            member.resume()

    def _running_members(self) -> list[DataNode | Sentinel]:
        return [member for member in self.members if member.is_running]

    @property
    def port(self) -> int:
        """The first sentinel's port."""
        return self.sentinels[0].port

    @property
    def process(self) -> Process:
        """The first sentinel's process."""
        return self.sentinels[0].process

    def command(self) -> list[str]:
        """Return the first sentinel's command."""
        return self.sentinels[0].command()
