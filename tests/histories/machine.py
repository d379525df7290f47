"""Histories of checks and events in any order, and what holds after each step (Hypothesis)."""

import asyncio
import contextlib

from hypothesis import strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from reference_service.health import Answer, Options, Probe, Registry, Status
from reference_service.health.rules import (
    GIVE_UP_AFTER,
    HISTORY_SIZE,
    MAX_GIVEN_UP,
    STALE_MARGIN,
    SUPERVISION_PERIOD,
)
from tests.health.clock import VirtualLoop

from .fake_check import PASSING, TIMEOUT, FakeCheck, Mode

OPTIONS = Options(interval=5.0, max_interval=60.0, timeout=TIMEOUT, failure_threshold=3)
RED_WITHIN = OPTIONS.max_interval + 2 * TIMEOUT + STALE_MARGIN
"""Seconds after the end of the latest pass: then the result is stale, whatever the load is."""
RED_WITHIN_IDLE = OPTIONS.interval + 3 * TIMEOUT + 0.3
"""The same without load, when the threshold counts."""
GREEN_WITHIN = 2.0
"""Seconds after which a failed check that passes again must have passed."""
IN_TIME = 0.01
"""Seconds that the event loop of a test may be late."""

CALM_AFTER = 8.0
"""Seconds after a change of the load, or a standstill, until the intervals have followed."""
SLICE = 0.25
"""Seconds between two looks at what must hold."""

names = strategies.sampled_from(["db", "cache", "db.pool"])
modes = strategies.sampled_from(Mode)
seconds = strategies.sampled_from([0.0, 0.1, 0.4, 0.6, 1.0, 2.5, 5.0, 8.0, 13.0])


class Histories(RuleBasedStateMachine):
    """One registry of up to three checks. Every rule is an event, and `advance` lets time go on."""

    def __init__(self) -> None:
        super().__init__()
        self.checks: dict[str, FakeCheck] = {}
        self.removed: list[FakeCheck] = []
        self.open_loop()

    def open_loop(self) -> None:
        """Begin a new event loop."""
        self.loop = VirtualLoop()
        self.started_at = self.disturbed_at = 0.0

    @initialize()
    def start_service(self) -> None:
        """Start a registry of two checks."""
        fakes = FakeCheck("db", Status.FAIL), FakeCheck("cache", Status.WARN)
        self.checks = {fake.check.name: fake for fake in fakes}
        checks = [fake.check for fake in fakes]
        self.registry = Registry(checks, OPTIONS, clock=self.now)
        self.start()

    def now(self) -> float:
        """Return the virtual time."""
        return self.loop.time()

    def start(self) -> None:
        """Start the monitors, as a server does."""
        self.loop.run_until_complete(self.registry.start())
        self.registry.started_up = True
        self.started_at = self.disturbed_at = self.now()

    # ---- Events

    @rule(seconds=seconds)
    def advance(self, seconds: float) -> None:
        """Let everything run for some seconds, and look often."""
        while seconds > 0:
            self.run_for(min(seconds, SLICE))
            seconds -= SLICE
            self.look()

    def run_for(self, seconds: float) -> None:
        """Let everything run for some seconds."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule(seconds=strategies.sampled_from([1.0, 10.0, 100.0]), name=names, mode=modes)
    def stand_still(self, seconds: float, name: str, mode: Mode) -> None:
        """Stop the process for some seconds, in which a check changes."""
        self.change(name, mode, 0.0)
        self.loop.stand_still(seconds)
        self.disturbed_at = self.now()
        self.advance(1.0)

    @rule(name=names, mode=modes, seconds=seconds)
    def change(self, name: str, mode: Mode, seconds: float) -> None:
        """Change what a check does, and wait."""
        if fake := self.checks.get(name):
            fake.set_mode(mode, self.now())
            self.advance(seconds)

    @rule(name=names, seconds=seconds)
    def repair(self, name: str, seconds: float) -> None:
        """Let a check pass again, and wait."""
        self.change(name, Mode.PASS, seconds)

    @rule(name=names)
    def release(self, name: str) -> None:
        """End the attempts of a check that swallow cancellations."""
        if fake := self.checks.get(name):
            fake.release(self.now())

    @rule(name=strategies.one_of(strategies.none(), names))
    def recheck(self, name: str | None) -> None:
        """Bring attempts forward."""
        self.registry.recheck(name)

    @rule()
    def trace(self) -> None:
        """Run all checks at once, in the background."""
        run = self.registry.run_all_now(lambda _: contextlib.nullcontext())
        self.loop.create_task(run, name="trace")

    @rule(score=strategies.sampled_from([0.0, 0.4, 1.0]))
    def set_load(self, score: float) -> None:
        """Change the load."""
        self.registry.cadence.score = score
        self.disturbed_at = self.now()

    @rule(name=names, impact=strategies.sampled_from([Status.FAIL, Status.WARN]))
    def add(self, name: str, impact: Status) -> None:
        """Add a check."""
        if name not in self.checks:
            self.checks[name] = fake = FakeCheck(name, impact)
            fake.set_mode(Mode.PASS, self.now())
            fake.added_at = self.now()
            self.registry.add(fake.check)

    @rule(name=names)
    def remove(self, name: str) -> None:
        """Remove a check."""
        if fake := self.checks.pop(name, None):
            self.registry.remove(name)
            self.removed.append(fake)

    @rule(seconds=seconds)
    def shut_down(self, seconds: float) -> None:
        """Drain for some seconds, and start again."""
        self.registry.drain()
        self.advance(seconds)
        self.restart()

    @rule()
    def restart(self) -> None:
        """Stop the monitors, and start them again in the same loop."""
        self.loop.run_until_complete(self.registry.stop())
        self.assert_no_task_is_left()
        self.start()

    @rule()
    def restart_in_another_loop(self) -> None:
        """Stop the monitors, and start them in a new loop."""
        self.loop.run_until_complete(self.registry.stop())
        self.close_loop()
        self.open_loop()
        self.start()

    # ---- What holds after each of them

    @invariant()
    def look(self) -> None:
        """Require everything below."""
        self.attempts_do_not_pile_up()
        self.nothing_grows()
        self.expired_results_are_never_green()
        self.ready_is_red_soon_after_the_last_pass()
        self.ready_is_green_while_every_required_check_passes()
        self.a_check_that_passes_again_is_restored()
        self.a_permanent_failure_counts_at_once()
        self.live_is_green_unless_attempts_never_end()

    def fake_monitors(self) -> list[tuple[FakeCheck, Status]]:
        """Return each check, with its impact."""
        return [(fake, fake.check.impact) for fake in self.checks.values()]

    def attempts_do_not_pile_up(self) -> None:
        """At most one attempt is in flight, except for those that were given up."""
        for fake in [*self.checks.values(), *self.removed]:
            recent = [at for at in fake.started.values() if self.now() - at < GIVE_UP_AFTER]
            assert len(recent) <= 1
            assert len(fake.started) <= MAX_GIVEN_UP + 1

    def nothing_grows(self) -> None:
        """There is one supervisor, one task per monitor, and one per attempt."""
        names = [task.get_name() for task in asyncio.all_tasks(self.loop)]
        assert names.count("health supervisor") <= 1
        for fake in [*self.checks.values(), *self.removed]:
            assert names.count(f"monitor {fake.check.name}") <= 1
        in_flight = sum(len(fake.started) for fake in [*self.checks.values(), *self.removed])
        beginning = len(self.checks)
        assert sum(name.startswith("health check") for name in names) <= in_flight + beginning
        for monitor in self.registry.monitors.values():
            assert len(monitor.history) <= HISTORY_SIZE

    def expired_results_are_never_green(self) -> None:
        """A check with a stale result makes `ready` red, if its impact is `fail`."""
        monitors = self.registry.monitors.values()
        stale = any(m.stale(self.now()) and m.check.impact is Status.FAIL for m in monitors)
        if stale or self.registry.draining:
            assert self.registry.ready().code != 200
        assert (self.registry.ready() is Answer.FAIL) >= self.registry.draining
        assert self.registry.ready() is self.registry.answer(Probe.READY)

    def ready_is_red_soon_after_the_last_pass(self) -> None:
        """No later than the bound, which is shorter without load."""
        calm = self.registry.cadence.score == 0 and self.now() - self.disturbed_at > CALM_AFTER
        bound = RED_WITHIN_IDLE if calm else RED_WITHIN + 5 * (1 + TIMEOUT)
        for fake, impact in self.fake_monitors():
            last = max(fake.passed_at, fake.added_at, self.started_at)
            if impact is Status.FAIL and self.now() - last > bound + IN_TIME:
                assert self.registry.ready().code != 200

    def ready_is_green_while_every_required_check_passes(self) -> None:
        """Never red while each has passed within its interval, by the latest attempt."""
        if self.registry.draining or self.registry.startup() is not Answer.PASS:
            return
        for monitor in self.registry.monitors.values():
            state, required = monitor.state, monitor.check.impact is Status.FAIL
            age = self.now() - state.checked_at
            passed = state.attempts and not state.consecutive_failures and age <= OPTIONS.interval
            if required and not passed:
                return
        assert self.registry.ready().code == 200

    def a_check_that_passes_again_is_restored(self) -> None:
        """Within the bound, unless an attempt that does not end is in flight."""
        for fake, _ in self.fake_monitors():
            since = max(fake.mode_since, fake.added_at, self.disturbed_at, fake.released_at)
            hung = any(at < fake.mode_since for at in fake.started.values())
            hung |= fake.hung_until > since
            if fake.mode in PASSING and not hung and self.now() - since > GREEN_WITHIN:
                state = self.registry.monitors[fake.check.name].state
                failing = state.status is Status.FAIL and state.consecutive_failures
                assert not failing, (fake.mode, state)

    def a_permanent_failure_counts_at_once(self) -> None:
        """Whatever the threshold is."""
        for monitor in self.registry.monitors.values():
            assert monitor.state.error != "PermanentFailure" or monitor.state.status is Status.FAIL

    def live_is_green_unless_attempts_never_end(self) -> None:
        """`live` asks about the process only."""
        stuck = any(monitor.stuck for monitor in self.registry.monitors.values())
        late = self.now() - self.disturbed_at < SUPERVISION_PERIOD + IN_TIME
        if not stuck and not late:
            assert self.registry.live() is Answer.PASS

    # ---- The end

    def assert_no_task_is_left(self) -> None:
        """Apart from attempts that swallow cancellations, and those who wait for a result."""
        self.run_for(3 + IN_TIME)  # some attempts take this long to clean up
        names = {task.get_name() for task in asyncio.all_tasks(self.loop)}
        assert all(name.startswith("health check ") for name in names), names
        for fake in [*self.checks.values(), *self.removed]:
            fake.release()
        self.run_for(IN_TIME)
        assert not asyncio.all_tasks(self.loop)

    def close_loop(self) -> None:
        """End the loop, with nothing left in it."""
        self.assert_no_task_is_left()
        self.loop.close()

    def teardown(self) -> None:
        """Stop everything."""
        if self.checks or self.removed:
            self.loop.run_until_complete(self.registry.stop())
        self.close_loop()
