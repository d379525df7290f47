"""Runs one step: injects a failure, watches the probes, repairs it, and reports the outcome."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass

from dev.drill.environment import Environment
from dev.drill.snapshot import HEALTHY, ProbeSnapshot
from dev.drill.step import Action, Step

POLL_INTERVAL = 0.2
"""Seconds between two snapshots."""
PAUSE = 1.5
"""Seconds in which a person can read the state before the next change."""
CHANGE_TIMEOUT = 15.0
"""Seconds until an expected change counts as missed: twice what an idle service needs."""
ALLOWED_MISSES = 2
"""Unexpected responses of `startup` and `live`, on a busy machine. Kubernetes acts on the third."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step.

    detected: seconds until `ready` responded as expected; None if it never did.
    recovered: seconds from the repair until all probes passed; None if they never did.
    errors: a sentence for each difference from the expectation.
    """

    step: Step
    detected: float | None
    recovered: float | None
    errors: tuple[str, ...] = ()


Show = Callable[[ProbeSnapshot, str, float], None]
"""Shows a snapshot, with its phase and the seconds since the phase began."""


def run_step(step: Step, environment: Environment, show: Show) -> Outcome:
    """Run a step, which starts and ends with a healthy service."""
    watcher = Watcher(environment, show)
    watcher.pause()
    watcher.perform(step.inject)
    watcher.begin("broken")
    detected = watcher.until(lambda snapshot: snapshot.ready == step.ready)
    watcher.pause()
    errors = [*compare(step, watcher.snapshots)]
    watcher.perform(step.repair)
    watcher.begin("repaired")
    recovered = watcher.until(lambda snapshot: snapshot.is_healthy)
    if recovered is None:
        errors.append(f"the service was not healthy {CHANGE_TIMEOUT:g} s after the repair")
    return Outcome(step, detected, recovered, (*errors, *watcher.errors))


def compare(step: Step, snapshots: list[ProbeSnapshot]) -> Iterator[str]:
    """Yield a sentence for each difference between the snapshots and the step."""
    codes = {snapshot.ready for snapshot in snapshots}
    if step.ready not in codes:
        yield f"ready never responded {step.ready}, only {' and '.join(sorted(codes))}"
    failures = {failure for snapshot in snapshots for failure in snapshot.failures}
    if step.reason and not any(failure.startswith(step.reason) for failure in failures):
        yield f"?verbose never showed {step.reason}, only {', '.join(sorted(failures)) or 'passes'}"
    others = [code for snapshot in snapshots for code in (snapshot.startup, snapshot.live)]
    misses = [code for code in others if code not in {step.live, HEALTHY}]
    if step.live not in others or len(misses) > ALLOWED_MISSES:
        seen = " and ".join(sorted(set(others)))
        yield f"startup and live did not respond {step.live}, but {seen}"


class Watcher:
    """Takes snapshots repeatedly, shows them, and keeps those of the current phase.

    errors: what went wrong in the actions.
    """

    def __init__(self, environment: Environment, show: Show) -> None:
        self.snapshots: list[ProbeSnapshot] = []
        self.errors: list[str] = []
        self._environment, self._show = environment, show
        self.begin("healthy")

    def begin(self, phase: str) -> None:
        """Begin a phase; its seconds count from now."""
        self.snapshots = []
        self._phase, self._began = phase, time.monotonic()

    def until(
        self, condition: Callable[[ProbeSnapshot], bool], timeout: float = CHANGE_TIMEOUT
    ) -> float | None:
        """Watch until a condition holds. Return the seconds since the phase began, or None."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            snapshot = self._take_snapshot()
            if condition(snapshot):
                return snapshot.time - self._began
            time.sleep(POLL_INTERVAL)
        return None

    def pause(self) -> None:
        """Watch for a while."""
        self.until(lambda _: False, PAUSE)

    def perform(self, action: Action) -> None:
        """Watch while an action runs."""
        running = self._environment.threads.submit(action, self._environment)
        while not wait([running], timeout=POLL_INTERVAL).done:
            self._take_snapshot()
        try:
            running.result()
        except (OSError, RuntimeError) as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def _take_snapshot(self) -> ProbeSnapshot:
        snapshot = self._environment.snapshot()
        self.snapshots.append(snapshot)
        self._show(snapshot, self._phase, time.monotonic() - self._began)
        return snapshot
