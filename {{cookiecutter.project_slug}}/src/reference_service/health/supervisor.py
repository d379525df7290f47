"""Keeps the monitors of a registry running, in whatever event loop it is started."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping

from .monitor import Monitor
from .rules import SUPERVISION_PERIOD, SUPERVISOR_TIMEOUT

log = logging.getLogger(__name__)


class Supervisor:
    """Runs one task per monitor, and starts it again if it ends.

    It can be started again after it was stopped, after its event loop has ended, and after a fork.

    monitors: by name. Monitors that come and go later are started and stopped.
    on_heartbeat: called every `SUPERVISION_PERIOD`.
    """

    def __init__(
        self,
        monitors: Mapping[str, Monitor],
        clock: Callable[[], float],
        on_heartbeat: Callable[[], None],
    ) -> None:
        self._monitors = monitors
        self._clock = clock
        self._on_heartbeat = on_heartbeat
        self._last_heartbeat = clock()
        self._task: asyncio.Task[None] | None = None
        self._process = 0

    def is_running(self) -> bool:
        """Tell whether it was started in this process, and its event loop has not ended."""
        task = self._task
        runs = task is not None and not task.done() and not task.get_loop().is_closed()
        return runs and self._process == os.getpid()

    def is_responsive(self) -> bool:
        """Tell whether it runs and is not late. True before the start and after a stop."""
        if self._task is None:
            return True
        return not self._task.done() and self._clock() - self._last_heartbeat < SUPERVISOR_TIMEOUT

    def start(self) -> None:
        """Start the monitors in the running loop, without waiting for any result."""
        self._last_heartbeat = self._clock()
        self._process = os.getpid()
        self._task = asyncio.create_task(self._supervise(), name="health supervisor")

    async def stop(self) -> None:
        """Stop the monitors, and abandon their current attempts."""
        task, self._task = self._task, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait({task})

    async def _supervise(self) -> None:
        tasks: dict[Monitor, asyncio.Task[None]] = {}
        try:
            while True:
                self._last_heartbeat = self._clock()
                self._start_monitors(tasks)
                self._on_heartbeat()
                await asyncio.sleep(SUPERVISION_PERIOD)
        finally:
            for task in tasks.values():
                task.cancel()
            for monitor in self._monitors.values():
                monitor.cancel_run_now()
            if tasks:
                await asyncio.wait(tasks.values())

    def _start_monitors(self, tasks: dict[Monitor, asyncio.Task[None]]) -> None:
        monitors = self._monitors.values()
        for monitor in monitors:
            task = tasks.get(monitor)
            if task is None or task.done():
                if task is not None:
                    reason = None if task.cancelled() else task.exception()
                    message = "monitor stopped unexpectedly; restarting"
                    log.error(message, extra={"check": monitor.name}, exc_info=reason)
                tasks[monitor] = asyncio.create_task(monitor.run(), name=f"monitor {monitor.name}")
        for monitor in tasks.keys() - monitors:  # their checks were removed
            tasks.pop(monitor).cancel()
