"""The load score: how it is measured, and who reads it."""

import asyncio
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from reference_service.health import Check
from reference_service.traffic import Traffic
from reference_service.traffic.load import (
    Load,
    available_cores,
    weighted_score,
)

from ..health.clock import run
from ..health.fakes import Dependency, running


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


def test_load_score_covers_the_requests_since_the_last_reading() -> None:
    load = Load(cores=1000)
    for milliseconds in range(1, 101):
        load.observe(milliseconds / 100)
    assert load.score(in_flight=0) == pytest.approx(0.4 * 0.95 / 2, abs=0.01)
    assert load.score(in_flight=0) == pytest.approx(0, abs=0.01)


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


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Get no request."""


def test_load_is_read_every_5_s_while_the_checks_run() -> None:
    class Counted(Load):
        readings = 0

        def score(self, in_flight: int) -> float:  # noqa: ARG002 - the signature of Load
            self.readings += 1
            return 0.5

    async def scenario() -> tuple[int, float]:
        load = Counted()
        async with running(Check("db", Dependency().check)) as registry:
            Traffic(nothing, registry, load=load)
            await asyncio.sleep(21)
            return load.readings, registry.cadence.score

    assert run(scenario()) == (4, 0.5)
