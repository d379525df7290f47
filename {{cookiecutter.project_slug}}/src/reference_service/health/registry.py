"""The checks of one service: runs their monitors and answers the three probes."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import nullcontext

from .answer import Answer, Probe
from .check import AttemptContext, Check, Status
from .load import Cadence, Load
from .monitor import Monitor
from .options import LOAD_PERIOD, SUPERVISION_PERIOD, SUPERVISOR_TIMEOUT, Options
from .state import CheckState

log = logging.getLogger(__name__)


class Registry:
    """Answers probes from the results that monitors keep in memory.

    attempt_context: entered for each attempt of a check, in the monitor's task. Tracing uses it.
    clock: returns monotonic seconds.

    Raises ValueError if two checks have the same name.
    """

    def __init__(
        self,
        checks: Iterable[Check] = (),
        options: Options | None = None,
        *,
        load: Load | None = None,
        clock: Callable[[], float] = time.monotonic,
        attempt_context: AttemptContext = lambda _: nullcontext(),
    ) -> None:
        self.options = options or Options()
        self.load = load or Load()
        self.clock = clock
        self.cadence = Cadence(self.options)
        self.started_up = False  # whether the application's own start-up work is done
        self.draining = False
        self.waiting: dict[object, float] = {}  # when each request without a response started
        self.stuck = False  # whether a check cannot run any more, because its attempts do not end
        self._startup_passed = False
        self._ready, self._ready_until = Answer.FAIL, 0.0
        self._last_heartbeat = clock()
        self._supervisor: asyncio.Task[None] | None = None
        self._callbacks: list[Callable[[], None]] = []
        self.monitors: dict[str, Monitor] = {}
        for check in checks:
            if check.name in self.monitors:
                raise ValueError(f"two checks are named {check.name!r}")
            self.monitors[check.name] = Monitor(
                check, self.cadence, self._after_attempt, clock, attempt_context
            )

    def startup(self) -> Answer:
        """Answer `startup`: `PASS` for good as soon as start-up is over, `FAIL` before.

        Start-up is over when the application's own work is done and each check has been tried once.
        It asks about the process: a restart does not fix a dependency. With
        `Options.startup_needs_checks` each check with impact `fail` must have passed once.
        """
        self._startup_passed = self._startup_passed or self._startup_satisfied(())
        return Answer.PASS if self._startup_passed else Answer.FAIL

    def ready(self) -> Answer:
        """Answer `ready`. The answer is cached until a result changes or becomes stale."""
        if self.draining:  # first: a signal can arrive while the answer below is computed
            return Answer.FAIL
        now = self.clock()
        if now > self._ready_until:
            self._ready = self.answer(Probe.READY)
            fresh = (m.state.expires_at for m in self.monitors.values() if not m.stale(now))
            self._ready_until = min(fresh, default=now) if self._startup_passed else now
        return self._ready

    def unready(self) -> bool:
        """Return whether `ready` does not answer 200."""
        return self.ready().status is Status.FAIL

    def live(self) -> Answer:
        """Answer `live`: `FAIL` if a check no longer runs, whatever the results are.

        With `Options.live_fails_on_shutdown` it is `FAIL` while draining too.
        """
        if self.draining and self.options.live_fails_on_shutdown:
            return Answer.FAIL
        return Answer.PASS if self.is_supervised() and not self.stuck else Answer.FAIL

    def answer(self, probe: Probe, exclude: Collection[str] = ()) -> Answer:
        """Answer a probe as if the checks named in `exclude` did not exist."""
        if probe is Probe.LIVE:
            return self.live()
        started = self.startup() is Answer.PASS or self._startup_satisfied(exclude)
        if probe is Probe.STARTUP:
            return Answer.PASS if started else Answer.FAIL
        if self.draining or not started:
            return Answer.FAIL
        return Answer.from_monitors(self._monitors_without(exclude), self.clock())

    def is_supervised(self) -> bool:
        """Tell whether the supervisor runs and responds. True before `start()`."""
        task = self._supervisor
        if task is None:
            return True
        return not task.done() and self.clock() - self._last_heartbeat < SUPERVISOR_TIMEOUT

    def _startup_satisfied(self, exclude: Collection[str]) -> bool:
        monitors = self._monitors_without(exclude)
        return self.started_up and all(map(self.startup_satisfied, monitors))

    def startup_satisfied(self, monitor: Monitor) -> bool:
        """Tell whether a check no longer delays `startup`."""
        if self.options.startup_needs_checks and monitor.check.impact is Status.FAIL:
            return monitor.has_passed
        return monitor.state.attempts > 0

    def _monitors_without(self, exclude: Collection[str]) -> Iterable[Monitor]:
        monitors = self.monitors.values()
        return [m for m in monitors if m.name not in exclude] if exclude else monitors

    def recheck(self, name: str | None = None) -> None:
        """Bring the next attempt forward, to at most one per second for each check.

        Call it when something suggests that a result is out of date: an error response, a lost
        connection. With a name, only that check and its parts run.
        """
        for monitor in self.monitors.values():
            if name is None or monitor.check.belongs_to(name):
                monitor.recheck()

    def _recheck_if_requests_wait(self) -> None:
        """Recheck everything if a request has waited for longer than an attempt may take.

        A request is evidence once. Otherwise one that never ends would keep every check busy.
        """
        latest = self.clock() - self.options.timeout
        late = list(itertools.takewhile(lambda each: each[1] < latest, self.waiting.items()))
        for request, _ in late:
            del self.waiting[request]
        if late:
            self.recheck()

    def on_result(self, callback: Callable[[], None]) -> None:
        """Call `callback` from now on after each attempt of a check."""
        self._callbacks.append(callback)

    async def run_all_now(self, attempt_context: AttemptContext) -> None:
        """Run every check at once, each within `attempt_context`; return when all have run.

        The monitors make the attempts, so each check still has at most one in flight, and its
        result counts. The rate is not limited: the caller must limit it.
        """
        await asyncio.gather(*(m.run_now(attempt_context) for m in self.monitors.values()))

    def drain(self) -> None:
        """Turn `ready` to 503 for good, because the process will exit. Safe in a signal handler."""
        self.draining = True

    async def start(self) -> None:
        """Start the monitors in the running loop, without waiting for any result."""
        if self._supervisor is None:
            self._last_heartbeat = self.clock()
            self._supervisor = asyncio.create_task(self._supervise(), name="health supervisor")

    async def stop(self) -> None:
        """Stop the monitors and abandon their current attempts."""
        task, self._supervisor = self._supervisor, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _supervise(self) -> None:
        """Keep one task per monitor running, and read the load every `LOAD_PERIOD`."""
        tasks: dict[str, asyncio.Task[None]] = {}
        next_reading = self.clock() + LOAD_PERIOD
        try:
            while True:
                self._last_heartbeat = self.clock()
                for name, monitor in self.monitors.items():
                    if name in tasks and not tasks[name].done():
                        continue
                    if name in tasks:
                        log.error("monitor stopped unexpectedly; restarting", extra={"check": name})
                    tasks[name] = asyncio.create_task(monitor.run(), name=f"monitor {name}")
                self._recheck_if_requests_wait()
                self.stuck = any(monitor.stuck for monitor in self.monitors.values())
                if self._last_heartbeat >= next_reading:
                    next_reading += LOAD_PERIOD
                    self.cadence.score = self.load.score()
                await asyncio.sleep(SUPERVISION_PERIOD)
        finally:
            for task in tasks.values():
                task.cancel()

    def _after_attempt(self, monitor: Monitor, previous: CheckState) -> None:
        """Reset the interval and recheck everything when a check stops passing."""
        self._ready_until = 0.0
        states = (each.state for each in self.monitors.values())
        self.cadence.all_passing = all(state.status is Status.PASS for state in states)
        if previous.status is Status.PASS and monitor.state.status is not Status.PASS:
            self.recheck()
        for callback in self._callbacks:
            callback()
