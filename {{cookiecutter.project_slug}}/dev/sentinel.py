"""A primary and two replicas, watched by three sentinels: a group to fail over and to follow."""

import contextlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from dev.process import Process, StartError, wait_until
from dev.sentinel_nodes import MASTER, DataNode, Sentinel
from dev.server import PATIENCE, Server

WATCH = f"""\
sentinel monitor {MASTER} 127.0.0.1 %d 2
sentinel down-after-milliseconds {MASTER} 1000
sentinel failover-timeout {MASTER} 5000
sentinel parallel-syncs {MASTER} 2
"""


class Sentinels(Server):
    """Six servers that start and end together, while each can be broken alone.

        with Sentinels(folder) as group:
            group.primary.pause()
            wait_until(lambda: group.current_primary() in group.replicas, 30)

    ``settings`` and ``password`` are the data nodes', ``sentinel_password`` is the sentinels'. A
    member that starts again goes by what it last knew, as in life. A group that starts again begins
    anew, with the data of the last primary. Where one process has to stand for the group, as in
    `port`, it is the first sentinel's.
    """

    name = "sentinel"
    variable = "REDIS_SENTINELS"
    instead_of = ("REDIS_URL",)

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
        quick = {
            "repl-diskless-sync-delay": "0",  # copy to a new replica at once
            "shutdown-timeout": "0",  # end without waiting for a slow one
        }
        secret = {"requirepass": password, "primaryauth": password} if password else {}
        self._nodes = [
            DataNode(
                self.folder / f"node-{n}",
                self.log,
                settings={**quick, **secret, **self.settings},
                durable=durable,
            )
            for n in (1, 2, 3)
        ]
        secret = {"requirepass": sentinel_password} if sentinel_password else {}
        secret |= {"appendonly": "no"}  # all that a sentinel knows is in its configuration
        self.sentinels = [
            Sentinel(self.folder / f"sentinel-{n}", self.log, settings=secret) for n in (1, 2, 3)
        ]
        self.primary, *self.replicas = self._nodes
        """Who was what at the latest start; `current_primary` tells of now."""
        self._password, self._sentinel_password = password, sentinel_password
        self._running = contextlib.ExitStack()
        self._former = self.folder / "primary"

    @property
    def members(self) -> list[DataNode | Sentinel]:
        """All six."""
        return [self.primary, *self.replicas, *self.sentinels]

    @property
    def url(self) -> str:
        """The addresses of the sentinels."""
        return ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)

    def current_primary(self) -> DataNode | None:
        """Give the data node that most sentinels call the primary, if any sentinel answers."""
        views = Counter(view for sentinel in self.sentinels if (view := sentinel.view()))
        for view, _ in views.most_common(1):
            return next(node for node in self._nodes if f"127.0.0.1:{node.port}," in view)
        return None

    def failover(self) -> None:
        """Plan a failover: all is well, and yet another data node is to be the primary."""
        self.sentinels[0].ask("SENTINEL", "FAILOVER", MASTER)

    def answers(self) -> bool:
        """Tell whether all is well: all members answer, and know of each other."""
        primary = self.current_primary()
        if primary is None or not all(member.answers() for member in self.members):
            return False
        whole = f"status=ok,address=127.0.0.1:{primary.port},slaves=2,sentinels=3"
        return all(whole in sentinel.view() for sentinel in self.sentinels) and all(
            node is primary or node.follows(primary) for node in self._nodes
        )

    def prepare(self, log: IO[bytes]) -> None:
        """Start all members, with the former primary as the primary."""
        former = self._former.read_text() if self._former.exists() else ""
        self._nodes.sort(key=lambda node: node.folder.name != former)
        self.primary, *self.replicas = self._nodes
        self.primary.begin(log)
        for replica in self.replicas:
            replica.begin(log, f"replicaof 127.0.0.1 {self.primary.port}\n")
        # A sentinel asks a primary for its replicas when it meets it, and then every 10 s.
        wait_until(lambda: all(node.follows(self.primary) for node in self.replicas), PATIENCE)
        watch = WATCH % self.primary.port
        if self._password:
            watch += f'sentinel auth-pass {MASTER} "{self._password}"\n'
        if self._sentinel_password:
            watch += f'sentinel sentinel-pass "{self._sentinel_password}"\n'
        for sentinel in self.sentinels:
            sentinel.begin(log, watch)

    def start(self) -> None:
        """Start all, and return when all is well. Raises StartError."""
        if self.sentinels[0].runs:
            raise RuntimeError(f"{self.name} is already running on port {self.port}.")
        self.stop()  # what a crash left
        with contextlib.ExitStack() as started:
            log = started.enter_context(self._sole_use_of_folder())
            started.callback(self._end_members)
            try:
                self.prepare(log)
                wait_until(self.answers, PATIENCE)
            except TimeoutError:
                raise StartError(f"{self.name} did not come up: {self.log} says why.") from None
            self._running = started.pop_all()

    def stop(self) -> None:
        """End all in order, the sentinels first; remember who was the primary."""
        if self.sentinels[0].runs and (primary := self.current_primary()):
            self._former.write_text(primary.folder.name)
        self._running.close()

    def _end_members(self) -> None:
        for member in reversed(self.members):
            member.stop()

    def kill(self) -> None:
        """End all at once."""
        for member in self._started():
            member.kill()
        self._running.close()

    def pause(self) -> None:
        """Freeze all."""
        for member in self._started():
            member.pause()

    def resume(self) -> None:
        """Let all go on."""
        for member in self._started():
            member.resume()

    def _started(self) -> list[DataNode | Sentinel]:
        return [member for member in self.members if member.runs]

    @property
    def port(self) -> int:
        """The first sentinel's port."""
        return self.sentinels[0].port

    @property
    def process(self) -> Process:
        """The first sentinel's process."""
        return self.sentinels[0].process

    def command(self) -> list[str]:
        """Give the first sentinel's command."""
        return self.sentinels[0].command()
