"""A Deployment and its Service: replicas that are rolled, and the routing to ready ones."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .clock import wait_until
from .manifest import Manifest
from .pod import Pod

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Service:
    """Routes each new connection to a random endpoint.

    kube-proxy does the same: the kernel chooses the endpoint when a connection is opened. There are
    no retries, and an endpoint receives connections until it is removed. Open connections stay open
    then. Without endpoints kube-proxy rejects new connections: clients see "connection refused".

    propagation: seconds until a change of the endpoints has an effect.
    """

    def __init__(self, propagation: float) -> None:
        self.endpoints: list[int] = []
        self.min_endpoints = 0
        """The lowest number of endpoints since this attribute was last set."""
        self.changes: list[tuple[float, int]] = []
        """Each change: the seconds of `time.monotonic`, and the number of endpoints since then."""
        self._propagation = propagation

    def publish(self, ports: list[int]) -> None:
        """Make these ports the endpoints, after the propagation delay."""
        asyncio.get_running_loop().call_later(self._propagation, self._set_endpoints, ports)

    async def connect(self) -> Connection:
        """Connect to an endpoint. Raises OSError if that fails or if there is no endpoint."""
        if not self.endpoints:
            raise ConnectionRefusedError("there is no endpoint")
        return await asyncio.open_connection("127.0.0.1", random.choice(self.endpoints))

    def _set_endpoints(self, ports: list[int]) -> None:
        self.endpoints = ports
        self.changes.append((time.monotonic(), len(ports)))
        self.min_endpoints = min(self.min_endpoints, len(ports))


class Deployment:
    """Replicas of a pod, rolled with `maxSurge: 1` and `maxUnavailable: 0`.

    environment_of: returns the variables of the nth pod, in addition to the manifest's settings.
    folder: for the logs. ports: of the pods, if they must be some of these. A pod that is created
    while none is free waits for one.
    """

    def __init__(
        self,
        manifest: Manifest,
        environment_of: Callable[[int], Mapping[str, str]],
        folder: Path,
        ports: Sequence[int] = (),
    ) -> None:
        self.service = Service(manifest.endpoint_propagation)
        self.pods: list[Pod] = []
        self.deleted: list[Pod] = []
        self._manifest = manifest
        self._environment_of = environment_of
        self._folder = folder
        self._ports = ports
        self._deletions: list[asyncio.Task[None]] = []

    @property
    def restarts(self) -> list[float]:
        """When kubelets restarted pods, in seconds of `time.monotonic`."""
        return [at for pod in (*self.pods, *self.deleted) for at in pod.restart_times]

    async def start(self, replicas: int) -> None:
        """Start all replicas, and wait until they are the endpoints."""
        for _ in range(replicas):
            await self._create_pod()
        await wait_until(lambda: len(self.service.endpoints) == replicas)
        self.service.min_endpoints = replicas

    async def roll(self) -> None:
        """Replace each replica: start a new pod and, as soon as it is ready, delete the oldest.

        As in a cluster, the next replacement does not wait until the deleted pod has ended.
        """
        for _ in list(self.pods):
            new = await self._create_pod()
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

    async def _create_pod(self) -> Pod:
        if self._ports:
            await wait_until(self._free_ports)
        number = len(self.deleted) + len(self.pods)
        log = self._folder / f"pod-{number}.log"
        port = self._free_ports()[0] if self._ports else None
        pod = Pod(self._manifest, self._environment_of(number), log, self._publish_ready_pods, port)
        self.pods.append(pod)
        return pod

    def _free_ports(self) -> list[int]:
        used = {pod.port for pod in (*self.pods, *self.deleted) if not pod.ended}
        return [port for port in self._ports if port not in used]

    def _publish_ready_pods(self) -> None:
        pods = (*self.pods, *self.deleted)
        self.service.publish([pod.port for pod in pods if pod.ready and not pod.terminating])
