"""The checks of one service: keeps their monitors running and answers the three probes."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import nullcontext

from .answer import Answer, Probe
from .cadence import Cadence
from .check import AttemptContext, Check, Status
from .load import Load
from .monitor import Monitor
from .options import LOAD_PERIOD, SUPERVISION_PERIOD, SUPERVISOR_TIMEOUT, Options
from .state import CheckState

log = logging.getLogger(__name__)


class Registry:
    """Answers from verdicts that monitors keep in the background, so asking costs nothing.

    attempt_context: entered around each attempt of a check, in its task, as by tracing.
    clock: monotonic seconds. Raises ValueError when two checks have one name.
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
        self.around = attempt_context
        self.cadence = Cadence(self.options)
        self.started_up = False
        """Whether the application's own start-up work is done."""
        self.draining = False
        self._started = False
        self._ready, self._ready_until = Answer.FAIL, 0.0
        self._beat = clock()
        self._supervisor: asyncio.Task[None] | None = None
        self.monitors: dict[str, Monitor] = {}
        for check in checks:
            self.add(check)

    def add(self, check: Check) -> None:
        """Add a check, before the start. Raises ValueError when its name is taken."""
        if check.name in self.monitors:
            message = f"two checks are named {check.name!r}"
            raise ValueError(message)
        self.monitors[check.name] = Monitor(
            check, self.cadence, self._on_state, self.clock, self.around
        )

    def startup(self) -> Answer:
        """Tell whether start-up is over: the application's own is, and every check has passed once.

        It stays over. A check whose failure only warns holds nothing up: it has to have been tried.
        """
        self._started = self._started or self._has_started(())
        return Answer.PASS if self._started else Answer.FAIL

    def ready(self) -> Answer:
        """Tell whether the service can do its work now; kept until a verdict changes or expires."""
        now = self.clock()
        if now > self._ready_until:
            self._ready = self.answer(Probe.READY)
            fresh = (m.state.expires_at for m in self.monitors.values() if not m.stale(now))
            self._ready_until = min(fresh, default=now) if self._started else now
        return self._ready

    def live(self) -> Answer:
        """Tell whether a restart would mend nothing: the checks run, whatever they find."""
        leaving = self.draining and self.options.live_fails_on_shutdown
        return Answer.PASS if self.supervised() and not leaving else Answer.FAIL

    def answer(self, probe: Probe, exclude: Collection[str] = ()) -> Answer:
        """Answer a probe as if the checks named in `exclude` were absent."""
        if probe is Probe.LIVE:
            return self.live()
        started = self.startup() is Answer.PASS or self._has_started(exclude)
        if probe is Probe.STARTUP:
            return Answer.PASS if started else Answer.FAIL
        if self.draining or not started:
            return Answer.FAIL
        return Answer.of(self._without(exclude), self.clock())

    def supervised(self) -> bool:
        """Tell whether the checks still run, or have not been started yet."""
        task = self._supervisor
        return task is None or (not task.done() and self.clock() - self._beat < SUPERVISOR_TIMEOUT)

    def _has_started(self, exclude: Collection[str]) -> bool:
        return self.started_up and all(m.startup_satisfied for m in self._without(exclude))

    def _without(self, exclude: Collection[str]) -> Iterable[Monitor]:
        monitors = self.monitors.values()
        return [m for m in monitors if m.name not in exclude] if exclude else monitors

    def recheck(self, name: str | None = None) -> None:
        """Have every check (or `name` and those below it, `name.…`) look again at once.

        Call it on evidence that a result is out of date: an error response, a lost connection.
        """
        for monitor in self.monitors.values():
            if name is None or monitor.name == name or monitor.name.startswith(f"{name}."):
                monitor.recheck()

    async def run_all_now(self, attempt_context: AttemptContext) -> None:
        """Have every check look again at once, within `around`; return when all have.

        The monitors do it: so no second attempt is in flight, and what is found counts. How often
        is for the caller to limit.
        """
        await asyncio.gather(*(m.run_now(attempt_context) for m in self.monitors.values()))

    def drain(self) -> None:
        """Turn `ready` to 503 for good: the process is leaving. Safe in a signal handler."""
        self.draining = True
        self._ready_until = 0.0

    async def start(self) -> None:
        """Start the monitors in the running loop. No check is waited for."""
        if self._supervisor is None:
            self._beat = self.clock()
            self._supervisor = asyncio.create_task(self._supervise(), name="health supervisor")

    async def stop(self) -> None:
        """Stop the monitors and abandon what they were asking."""
        task, self._supervisor = self._supervisor, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _supervise(self) -> None:
        """Keep one task a monitor alive, and read the load now and then."""
        tasks: dict[str, asyncio.Task[None]] = {}
        next_reading = self.clock() + LOAD_PERIOD
        try:
            while True:
                self._beat = self.clock()
                for name, monitor in self.monitors.items():
                    task = tasks.get(name)
                    if task is None or task.done():
                        if task is not None:
                            log.error(
                                "monitor stopped unexpectedly; restarting", extra={"check": name}
                            )
                        tasks[name] = asyncio.create_task(monitor.run(), name=f"monitor {name}")
                if self._beat >= next_reading:
                    next_reading += LOAD_PERIOD
                    self.cadence.score = self.load.score()
                await asyncio.sleep(SUPERVISION_PERIOD)
        finally:
            for task in tasks.values():
                task.cancel()

    def _on_state(self, monitor: Monitor, previous: CheckState) -> None:
        """Reset the interval and recheck everything when a check stops passing."""
        self._ready_until = 0.0
        self.cadence.all_passing = all(
            m.state.status is Status.PASS for m in self.monitors.values()
        )
        if previous.status is Status.PASS and monitor.state.status is not Status.PASS:
            self.recheck()
