"""A pod and its kubelet: one process of the service that is started, asked, restarted and ended."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from dev.ports import free_port
from dev.process import Process
from faults.probe_client import ask

from .clock import until
from .manifest import Manifest, Probe


class Pod:
    """One replica, from its creation to its deletion.

    environment: what it has beside the manifest's settings. log: where it writes. changed: called
    when it turns ready, or no longer is, or is about to go.
    """

    def __init__(
        self,
        manifest: Manifest,
        environment: Mapping[str, str],
        log: Path,
        changed: Callable[[], None],
    ) -> None:
        self.port = free_port()
        self.ready = False
        self.terminating = False
        self.restarts = 0
        self.statuses: list[int | None] = []
        """How its processes ended."""
        self.killed = 0
        """How many had to be."""
        self.live: list[int] = []
        """What `live` has answered."""
        self._manifest = manifest
        self._log = log
        self._changed = changed
        ports = {"SERVICE_PORT": self.port, "SERVICE_MANAGEMENT_PORT": free_port()}
        self._environment = {
            "PATH": os.environ["PATH"],
            **manifest.settings,
            **environment,
            "SERVICE_HOST": "127.0.0.1",
            **{name: str(port) for name, port in ports.items()},
        }
        self._start()
        self._kubelet = asyncio.create_task(self._watch())

    @property
    def pid(self) -> int:
        """The id of the service's process."""
        return self.process.pids[0]

    async def until_ready(self) -> None:
        """Return when it is. Raises TimeoutError."""
        await until(lambda: self.ready)

    async def delete(self) -> None:
        """Take it out of the endpoints, and end it as Kubernetes does."""
        self.terminating = True
        self._changed()
        self._kubelet.cancel()
        await self._end()

    async def abandon(self) -> None:
        """End at once what is left of it."""
        self._kubelet.cancel()
        if self.process.status is None:
            await asyncio.to_thread(self.process.kill)

    async def _watch(self) -> None:
        """Ask the probes, and restart the process when they ask for it.

        Until the one for the start has passed, the others do not begin.
        """
        while True:
            if await anext(self._outcomes(self._manifest.startup)):
                readiness = asyncio.create_task(self._keep_ready())
                try:
                    async for alive in self._outcomes(self._manifest.live, self.live):
                        if not alive:
                            break
                finally:
                    readiness.cancel()
            self._set_ready(ready=False)
            self.restarts += 1
            await self._end()
            self._start()

    async def _keep_ready(self) -> None:
        async for ready in self._outcomes(self._manifest.ready):
            self._set_ready(ready=ready)

    async def _outcomes(self, probe: Probe, codes: list[int] | None = None) -> AsyncIterator[bool]:
        """Ask once a period, and yield whenever it passes, or has failed as often as it may."""
        failures = 0
        due = time.monotonic()
        while True:
            code = (await ask(self.port, probe.path, probe.timeout)).code
            if codes is not None:
                codes.append(code)
            passed = 200 <= code < 400
            failures = 0 if passed else failures + 1
            if passed or failures == probe.failures:
                yield passed
            due += probe.period
            await asyncio.sleep(due - time.monotonic())

    def _set_ready(self, *, ready: bool) -> None:
        if ready != self.ready:
            self.ready = ready
            self._changed()

    def _start(self) -> None:
        (main,) = Path("src").glob("*/__main__.py")
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", main.parent.name]
            self.process = Process(command, output=log, environment=self._environment)

    async def _end(self) -> None:
        """Wait, tell the process to leave, and kill it if its time is over before it has."""
        told = self._manifest.pre_stop
        await asyncio.sleep(told)
        if self.process.status is None:
            os.kill(self.pid, signal.SIGTERM)
        try:
            await until(lambda: self.process.status is not None, self._manifest.grace - told)
        except TimeoutError:
            self.killed += 1
            await asyncio.to_thread(self.process.kill)
        self.statuses.append(self.process.status)
