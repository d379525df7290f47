"""A Deployment and its Service: replicas that are rolled, and the way to those that are ready."""

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

from .clock import PROPAGATION, until
from .manifest import Manifest
from .pod import Pod

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Service:
    """Leads each new connection to one of the endpoints, and has no more to do with it.

    So does kube-proxy: as a connection begins, the kernel chooses its other end at random. Nothing
    is tried twice, and an endpoint is as good as the others until it is one no longer.
    """

    def __init__(self) -> None:
        self.endpoints: list[int] = []
        self.fewest = 0
        """The fewest endpoints that there were since it was set."""

    def publish(self, ports: list[int]) -> None:
        """Make these ports the endpoints as soon as that has got about."""
        asyncio.get_running_loop().call_later(PROPAGATION, self._take, ports)

    async def connect(self) -> Connection:
        """Connect to an endpoint. Raises OSError if that fails, or if there is none."""
        if not self.endpoints:
            raise ConnectionRefusedError("there is no endpoint")
        return await asyncio.open_connection("127.0.0.1", random.choice(self.endpoints))

    def _take(self, ports: list[int]) -> None:
        self.endpoints = ports
        self.fewest = min(self.fewest, len(ports))


class Deployment:
    """Some replicas of a pod, with `maxSurge: 1` and `maxUnavailable: 0`.

    environment: what they have beside the manifest's settings. folder: where they write.
    """

    def __init__(self, manifest: Manifest, environment: Mapping[str, str], folder: Path) -> None:
        self.service = Service()
        self.pods: list[Pod] = []
        self.deleted: list[Pod] = []
        self._manifest = manifest
        self._environment = environment
        self._folder = folder
        self._deletions: list[asyncio.Task[None]] = []

    async def start(self, replicas: int) -> None:
        """Start all replicas, and return when they are the endpoints."""
        for _ in range(replicas):
            self._create()
        await until(lambda: len(self.service.endpoints) == replicas)
        self.service.fewest = replicas

    async def roll(self) -> None:
        """Replace each replica: start a new one and, as soon as it is ready, delete the oldest.

        As in a cluster, the next one does not wait for the end of the one before.
        """
        for _ in list(self.pods):
            new = self._create()
            await new.until_ready()
            oldest = self.pods.pop(0)
            self.deleted.append(oldest)
            self._deletions.append(asyncio.create_task(oldest.delete()))

    async def settle(self) -> None:
        """Return when all that were deleted have ended."""
        await asyncio.gather(*self._deletions)

    async def stop(self) -> None:
        """End everything at once, whatever has happened."""
        for deletion in self._deletions:
            deletion.cancel()
        for pod in (*self.deleted, *self.pods):
            await pod.abandon()

    def _create(self) -> Pod:
        log = self._folder / f"pod-{len(self.deleted) + len(self.pods)}.log"
        pod = Pod(self._manifest, self._environment, log, self._publish)
        self.pods.append(pod)
        return pod

    def _publish(self) -> None:
        pods = (*self.pods, *self.deleted)
        self.service.publish([pod.port for pod in pods if pod.ready and not pod.terminating])
