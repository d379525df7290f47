"""The checks of one service: runs their monitors and answers the three probes."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import nullcontext

from .answer import Answer, Probe
from .check import AttemptContext, Check, Status
from .monitor import Monitor
from .rules import Cadence, CheckState, Options
from .supervisor import Supervisor


class Registry:
    """Answers probes from the results that monitors keep in memory.

    It can be started and stopped again and again, in any event loop. Then no earlier result counts.

    clock: returns monotonic seconds.
    attempt_context: entered for each attempt of a check, in the monitor's task. Tracing uses it.

    Raises ValueError if two checks have the same name.
    """

    def __init__(
        self,
        checks: Iterable[Check] = (),
        options: Options | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        attempt_context: AttemptContext = lambda _: nullcontext(),
    ) -> None:
        self.options = options or Options()
        self.clock = clock
        self.cadence = Cadence(self.options)
        self.started_up = False  # whether the application's own start-up work is done
        self.draining = False
        self.in_flight = self.websockets = 0  # that are open now, if something counts them
        self.monitors: dict[str, Monitor] = {}
        self._attempt_context = attempt_context
        self._supervisor = Supervisor(self.monitors, clock, self._heartbeat)
        self._on_result: list[Callable[[], None]] = []
        self._on_heartbeat: list[Callable[[], None]] = []
        self._needs_restart = False  # whether only a new process can help
        self._startup_passed = self._was_started = False
        self._ready, self._ready_until = Answer.FAIL, 0.0
        for check in checks:
            self.add(check)

    def add(self, check: Check) -> None:
        """Add a check. Until its first attempt has ended, it warns if start-up is already over.

        Raises ValueError if there is a check with its name.
        """
        if check.name in self.monitors:
            raise ValueError(f"two checks are named {check.name!r}")
        shared = self.cadence, self._after_attempt, self.clock, self._attempt_context
        monitor = Monitor(check, *shared)
        if self._startup_passed:
            monitor.reset(Status.WARN)
        self.monitors[check.name] = monitor
        self._ready_until = 0.0

    def remove(self, name: str) -> None:
        """Remove a check, and abandon its attempt. Raises KeyError if there is none."""
        self.monitors.pop(name).cancel_run_now()
        self._ready_until = 0.0

    async def start(self) -> None:
        """Start the monitors in the running loop, unless they run. Wait for no result."""
        if self.is_running():
            return
        if self._was_started:
            self.started_up = self.draining = self._startup_passed = self._needs_restart = False
        self._was_started = True
        for monitor in self.monitors.values():
            monitor.reset()
        self._ready_until = 0.0
        self._supervisor.start()

    async def stop(self) -> None:
        """Stop the monitors and abandon their current attempts."""
        await self._supervisor.stop()

    def drain(self) -> None:
        """Turn `ready` to 503 for good, because the process will exit. Safe in a signal handler."""
        self.draining = True

    def is_running(self) -> bool:
        """Tell whether the monitors run: after `start()`, until `stop()` or the end of its loop."""
        return self._supervisor.is_running()

    def is_supervised(self) -> bool:
        """Tell whether the supervisor of the monitors is not late. True before `start()`."""
        return self._supervisor.is_responsive()

    def startup(self) -> Answer:
        """Answer `startup`: `PASS` for good as soon as start-up is over, `FAIL` before.

        Start-up is over when the application's own work is done and each check has been tried once:
        a restart does not fix a dependency. See also `Options.startup_needs_checks`.
        """
        if not self._startup_passed:
            self._startup_passed = self._startup_satisfied(self.monitors.values())
        return Answer.PASS if self._startup_passed else Answer.FAIL

    def ready(self) -> Answer:
        """Answer `ready`. The answer is cached until a result changes or becomes stale."""
        if self.draining:  # first: a signal can arrive while the answer below is computed
            return Answer.FAIL
        now = self.clock()
        if now >= self._ready_until:
            self._ready = self.answer(Probe.READY)
            fresh = (m.state.expires_at for m in self.monitors.values() if not m.stale(now))
            self._ready_until = min(fresh, default=now) if self._startup_passed else now
        return self._ready

    def unready(self) -> bool:
        """Return whether `ready` does not answer 200."""
        return self.ready().status is Status.FAIL

    def live(self) -> Answer:
        """Answer `live`: `FAIL` if checks no longer run, or if a check with `liveness` fails.

        With `Options.live_fails_on_shutdown` it is `FAIL` while draining too.
        """
        if self.draining and self.options.live_fails_on_shutdown:
            return Answer.FAIL
        return Answer.FAIL if self._needs_restart or not self.is_supervised() else Answer.PASS

    def answer(self, probe: Probe, exclude: Collection[str] = ()) -> Answer:
        """Answer a probe as if the checks named in `exclude` did not exist."""
        if probe is Probe.LIVE:
            return self.live()
        monitors = [m for m in self.monitors.values() if m.name not in exclude]
        started = self.startup() is Answer.PASS or self._startup_satisfied(monitors)
        if probe is Probe.STARTUP:
            return Answer.PASS if started else Answer.FAIL
        if self.draining or not started:
            return Answer.FAIL
        return Answer.from_monitors(monitors, self.clock())

    def _startup_satisfied(self, monitors: Iterable[Monitor]) -> bool:
        return self.started_up and not any(m.delays_startup() for m in monitors)

    def recheck(self, name: str | None = None) -> None:
        """Bring the next attempt forward: of every check, or of `name` and its parts.

        Call it when a result may be out of date, for example after a connection was lost.
        """
        for monitor in self.monitors.values():
            if name is None or monitor.check.belongs_to(name):
                monitor.recheck()

    async def run_all_now(self, attempt_context: AttemptContext) -> None:
        """Run every check at once, each within `attempt_context`; return when all have run.

        The monitors make the attempts, so each check still has at most one in flight, and its
        result counts. The caller must limit the rate. Without effect while no monitor runs.
        """
        if self.is_running():
            await asyncio.gather(*(m.run_now(attempt_context) for m in self.monitors.values()))

    def on_result(self, callback: Callable[[], None]) -> None:
        """Call `callback` from now on after each attempt of a check. It must not raise."""
        self._on_result.append(callback)

    def on_heartbeat(self, callback: Callable[[], None]) -> None:
        """Call `callback` from now on four times a second, while the monitors run."""
        self._on_heartbeat.append(callback)

    def _heartbeat(self) -> None:
        self._needs_restart = any(m.needs_restart() for m in self.monitors.values())
        for callback in self._on_heartbeat:
            callback()

    def _after_attempt(self, monitor: Monitor, previous: CheckState) -> None:
        """Reset the interval and recheck everything when a check stops passing."""
        self._ready_until = 0.0
        statuses = (each.state.status for each in self.monitors.values())
        self.cadence.all_passing = all(status is Status.PASS for status in statuses)
        if previous.status is Status.PASS and monitor.state.status is not Status.PASS:
            self.recheck()
        for callback in self._on_result:
            callback()
