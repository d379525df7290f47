"""A pod and its kubelet: start, probe, restart and stop one process of the service."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from dev.ports import free_port
from dev.process import Process
from faults.probe_client import send_probe

from .clock import wait_until
from .manifest import Manifest, Probe


class Pod:
    """One replica, from its creation to its deletion.

    environment: variables in addition to the manifest's settings. log: receives the output.
    on_change: called when the pod becomes ready or unready, and when its deletion begins.
    port: of the service; by default a free one.
    """

    def __init__(
        self,
        manifest: Manifest,
        environment: Mapping[str, str],
        log: Path,
        on_change: Callable[[], None],
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.ready = False
        self.terminating = False
        self.restart_times: list[float] = []
        """When the kubelet restarted the process, in seconds of `time.monotonic`."""
        self.exit_statuses: list[int | None] = []
        """The exit statuses of the processes so far."""
        self.kills = 0
        """How many processes exceeded the grace period."""
        self.ended = False
        """Whether the pod was deleted and its process has ended."""
        self.live_codes: list[int] = []
        """The status codes of the liveness probe."""
        self._manifest = manifest
        self._log = log
        self._on_change = on_change
        ports = {"SERVICE_PORT": self.port, "SERVICE_MANAGEMENT_PORT": free_port()}
        self._environment = {
            "PATH": os.environ["PATH"],
            **manifest.settings,
            **environment,
            "SERVICE_HOST": "127.0.0.1",
            **{name: str(port) for name, port in ports.items()},
        }
        self._start_process()
        self._kubelet = asyncio.create_task(self._run_kubelet())

    @property
    def restarts(self) -> int:
        """How often the kubelet has restarted the process."""
        return len(self.restart_times)

    @property
    def pid(self) -> int:
        """The id of the service's process."""
        return self.process.pids[0]

    async def wait_until_ready(self) -> None:
        """Wait until the pod is ready. Raises TimeoutError."""
        await wait_until(lambda: self.ready)

    async def delete(self) -> None:
        """Remove the pod from the endpoints, and stop its process as Kubernetes does."""
        self.terminating = True
        self._on_change()
        self._kubelet.cancel()
        await self._stop_process()
        self.ended = True

    async def kill(self) -> None:
        """Kill the process if it is still running."""
        self._kubelet.cancel()
        if self.process.status is None:
            await asyncio.to_thread(self.process.kill)

    async def _run_kubelet(self) -> None:
        """Send the probes, and restart the process if the startup or liveness probe fails.

        The other probes begin after the startup probe has passed.
        """
        while True:
            if await anext(self._probe_results(self._manifest.startup)):
                readiness = asyncio.create_task(self._update_readiness())
                try:
                    async for alive in self._probe_results(self._manifest.live, self.live_codes):
                        if not alive:
                            break
                finally:
                    readiness.cancel()
            self._set_ready(ready=False)
            self.restart_times.append(time.monotonic())
            await self._stop_process()
            self._start_process()

    async def _update_readiness(self) -> None:
        async for ready in self._probe_results(self._manifest.ready):
            self._set_ready(ready=ready)

    async def _probe_results(
        self, probe: Probe, codes: list[int] | None = None
    ) -> AsyncIterator[bool]:
        """Send a probe in each period. Yield each success, and each failure at the threshold."""
        failures = 0
        due = time.monotonic()
        while True:
            code = (await send_probe(self.port, probe.path, probe.timeout)).status_code
            if codes is not None:
                codes.append(code)
            passed = 200 <= code < 400
            failures = 0 if passed else failures + 1
            if passed or failures == probe.failure_threshold:
                yield passed
            due += probe.period
            await asyncio.sleep(due - time.monotonic())

    def _set_ready(self, *, ready: bool) -> None:
        if ready != self.ready:
            self.ready = ready
            self._on_change()

    def _start_process(self) -> None:
        (main,) = Path("src").glob("*/__main__.py")
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", main.parent.name]
            self.process = Process(command, output=log, environment=self._environment)

    async def _stop_process(self) -> None:
        """Wait for the `preStop` time, send SIGTERM, and after the grace period SIGKILL."""
        pre_stop = self._manifest.pre_stop
        await asyncio.sleep(pre_stop)
        if self.process.status is None:
            os.kill(self.pid, signal.SIGTERM)
        try:
            await wait_until(
                lambda: self.process.status is not None, self._manifest.grace_period - pre_stop
            )
        except TimeoutError:
            self.kills += 1
            await asyncio.to_thread(self.process.kill)
        self.exit_statuses.append(self.process.status)
