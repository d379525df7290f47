"""The load score, and how it changes the interval and the threshold."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from reference_service.health import Check, Options, Status
from reference_service.health.load import (
    Cadence,
    Load,
    available_cores,
    weighted_score,
)

from .clock import now, run
from .fakes import Dependency, FixedLoad, running


@pytest.mark.parametrize(
    ("cpu", "p95", "in_flight", "score"),
    [
        (0, 0, 0, 0),
        (0.45, 1.0, 2500, 0.5),
        (0.9, 2.0, 5000, 1),
        (9, 200, 500_000, 1),
        (0.9, 0, 0, 0.4),
        (0, 2.0, 0, 0.4),
        (0, 0, 5000, 0.2),
    ],
)
def test_load_score_weighs_cpu_latency_and_concurrency_up_to_1(
    cpu: float, p95: float, in_flight: int, score: float
) -> None:
    assert weighted_score(cpu=cpu, p95=p95, in_flight=in_flight) == pytest.approx(score)


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


def test_load_score_covers_the_requests_since_the_last_reading() -> None:
    load = Load(cores=1000)
    for milliseconds in range(1, 101):
        load.observe(milliseconds / 100)
    assert load.score() == pytest.approx(0.4 * 0.95 / 2, abs=0.01)
    assert load.score() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [("50000 100000", 0.5), ("400000 100000", 1.0), ("max 100000", 1.0), ("nonsense", 1.0)],
)
def test_available_cores_follow_the_cgroup_quota(
    tmp_path: Path, cpu_max: str, cores: float
) -> None:
    (tmp_path / "cpu.max").write_text(cpu_max)
    assert available_cores(tmp_path) == cores
    assert available_cores(tmp_path / "missing") == 1.0


def test_full_load_checks_run_every_60_s_and_every_5_s_after_a_failure() -> None:
    async def scenario() -> tuple[list[float], float]:
        steady, broken = Dependency(), Dependency()
        checks = Check("steady", steady.check), Check("broken", broken.check)
        async with running(*checks) as registry:
            registry.load = FixedLoad(1.0)
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
            registry.load = FixedLoad(1.0)
            while not dependency.attempted_at or now() < dependency.attempted_at[-1] + 20:
                await asyncio.sleep(1)  # the interval is now 60 s
            registry.load = FixedLoad(0.0)
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
            registry.load = FixedLoad(1.0)
            await asyncio.sleep(70)
            registry.recheck()
            await asyncio.sleep(1)
        return dependency.attempted_at

    assert run(scenario())[-1] == 70
