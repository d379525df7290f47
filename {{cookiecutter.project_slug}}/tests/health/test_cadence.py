"""How the load changes the interval and the threshold."""

import asyncio
from itertools import pairwise

import pytest

from reference_service.health import Check, Options, Status
from reference_service.health.rules import Cadence

from .clock import now, run
from .fakes import Dependency, running


@pytest.mark.parametrize(
    ("score", "interval", "threshold"), [(0, 5, 3), (0.49, 31.95, 3), (0.5, 32.5, 4), (1, 60, 5)]
)
def test_load_increases_interval_and_threshold_while_all_checks_pass(
    score: float, interval: float, threshold: int
) -> None:
    cadence = Cadence(Options())
    cadence.score, cadence.all_passing = score, True
    assert cadence.interval == pytest.approx(interval)
    assert cadence.failure_threshold == threshold
    cadence.all_passing = False
    assert cadence.interval == 5
    assert cadence.failure_threshold == threshold


def test_full_load_checks_run_every_60_s_and_every_5_s_after_a_failure() -> None:
    async def scenario() -> tuple[list[float], float]:
        steady, broken = Dependency(), Dependency()
        checks = Check("steady", steady.check), Check("broken", broken.check)
        async with running(*checks) as registry:
            registry.cadence.score = 1.0
            await asyncio.sleep(160)
            broken.error = ConnectionError()
            registry.recheck()
            started = now()
            while registry.monitors["broken"].state.status is not Status.FAIL:
                await asyncio.sleep(0.05)
            detected_after = now() - started
            await asyncio.sleep(20)
        return steady.intervals(), detected_after

    intervals, detected_after = run(scenario())
    assert max(intervals) == 60
    assert intervals[-3:] == [5, 5, 5]
    assert detected_after <= 1 + 5 * 0.5 + 1.6


def test_checks_follow_a_shorter_interval_when_the_load_falls() -> None:
    async def scenario() -> tuple[float, list[float]]:
        dependency = Dependency()
        async with running(Check("db", dependency.check)) as registry:
            registry.cadence.score = 1.0
            while not dependency.attempted_at or now() < dependency.attempted_at[-1] + 20:
                await asyncio.sleep(1)  # the interval is now 60 s
            registry.cadence.score = 0.0
            idle_since = now()
            await asyncio.sleep(20)
        return idle_since, dependency.attempted_at

    idle_since, attempted_at = run(scenario())
    first, *others = [at for at in attempted_at if at > idle_since]
    assert first - idle_since <= 5 + 1.25  # one reading of the load, and one period of both loops
    assert {later - earlier for earlier, later in pairwise([first, *others])} == {5}


def test_recheck_under_full_load_runs_the_check_at_once() -> None:
    async def scenario() -> list[float]:
        dependency = Dependency()
        async with running(Check("db", dependency.check)) as registry:
            registry.cadence.score = 1.0
            await asyncio.sleep(70)
            registry.recheck()
            await asyncio.sleep(1)
        return dependency.attempted_at

    assert run(scenario())[-1] == 70
