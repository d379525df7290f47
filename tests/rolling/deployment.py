"""A Deployment and its Service: replicas that are rolled, and the routing to ready ones."""

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

from .clock import ENDPOINT_PROPAGATION, wait_until
from .manifest import Manifest
from .pod import Pod

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Service:
    """Routes each new connection to a random endpoint.

    kube-proxy does the same: the kernel chooses the endpoint when a connection is opened. There are
    no retries, and an endpoint receives connections until it is removed.
    """

    def __init__(self) -> None:
        self.endpoints: list[int] = []
        self.min_endpoints = 0
        """The lowest number of endpoints since this attribute was last set."""

    def publish(self, ports: list[int]) -> None:
        """Make these ports the endpoints, after the propagation delay."""
        asyncio.get_running_loop().call_later(ENDPOINT_PROPAGATION, self._set_endpoints, ports)

    async def connect(self) -> Connection:
        """Connect to an endpoint. Raises OSError if that fails or if there is no endpoint."""
        if not self.endpoints:
            raise ConnectionRefusedError("there is no endpoint")
        return await asyncio.open_connection("127.0.0.1", random.choice(self.endpoints))

    def _set_endpoints(self, ports: list[int]) -> None:
        self.endpoints = ports
        self.min_endpoints = min(self.min_endpoints, len(ports))


class Deployment:
    """Replicas of a pod, rolled with `maxSurge: 1` and `maxUnavailable: 0`.

    environment: variables in addition to the manifest's settings. folder: for the logs.
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
        """Start all replicas, and wait until they are the endpoints."""
        for _ in range(replicas):
            self._create_pod()
        await wait_until(lambda: len(self.service.endpoints) == replicas)
        self.service.min_endpoints = replicas

    async def roll(self) -> None:
        """Replace each replica: start a new pod and, as soon as it is ready, delete the oldest.

        As in a cluster, the next replacement does not wait until the deleted pod has ended.
        """
        for _ in list(self.pods):
            new = self._create_pod()
            await new.wait_until_ready()
            oldest = self.pods.pop(0)
            self.deleted.append(oldest)
            self._deletions.append(asyncio.create_task(oldest.delete()))

    async def wait_for_deletions(self) -> None:
        """Wait until all deleted pods have ended. Each is killed after its grace period."""
        await asyncio.gather(*self._deletions)

    async def stop(self) -> None:
        """Kill all processes, in any state."""
        for deletion in self._deletions:
            deletion.cancel()
        for pod in (*self.deleted, *self.pods):
            await pod.kill()

    def _create_pod(self) -> Pod:
        log = self._folder / f"pod-{len(self.deleted) + len(self.pods)}.log"
        pod = Pod(self._manifest, self._environment, log, self._publish_ready_pods)
        self.pods.append(pod)
        return pod

    def _publish_ready_pods(self) -> None:
        pods = (*self.pods, *self.deleted)
        self.service.publish([pod.port for pod in pods if pod.ready and not pod.terminating])
