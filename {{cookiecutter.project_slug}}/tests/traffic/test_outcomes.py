"""The check of real traffic: what the latest requests got."""

import asyncio
from collections.abc import Iterable

import pytest

from reference_service.health import Answer, Probe
from reference_service.traffic import RequestOutcomes, RequestRecord

from ..health.clock import now, run
from ..health.fakes import running


def record(status: int, *, rejected: str = "") -> RequestRecord:
    """Return the record of a request with this status. rejected: why the service rejected it."""
    state = {"rejected": rejected} if rejected else {}
    return RequestRecord({"state": state}, now(), status)


async def answer_after(records: Iterable[RequestRecord], seconds: float = 1.5) -> Answer:
    """Return the answer of `ready` some seconds after these requests."""
    outcomes = RequestOutcomes(clock=now)
    async with running(outcomes.check()) as registry:
        await asyncio.sleep(1)
        for each in records:
            outcomes(each)
        await asyncio.sleep(seconds)
        return registry.answer(Probe.READY)


@pytest.mark.parametrize(
    ("statuses", "answer"),
    [
        ([500] * 10 + [200] * 10, Answer.WARN),
        ([503] * 20, Answer.WARN),
        ([500] * 9 + [200] * 11, Answer.PASS),
        ([500] * 19, Answer.PASS),
        ([404] * 30, Answer.PASS),
        ([499] * 30, Answer.PASS),
    ],
)
def test_half_of_at_least_twenty_requests_that_fail_are_a_warning(
    statuses: list[int], answer: Answer
) -> None:
    async def scenario() -> Answer:
        return await answer_after(record(status) for status in statuses)

    assert run(scenario()) is answer


@pytest.mark.parametrize("reason", ["concurrency_limit", "body_memory", "circuit_open"])
def test_rejected_requests_are_failures(reason: str) -> None:
    async def scenario() -> Answer:
        return await answer_after(record(503, rejected=reason) for _ in range(100))

    assert run(scenario()) is Answer.WARN


def test_failures_are_forgotten_after_ten_seconds() -> None:
    async def scenario() -> tuple[Answer, Answer]:
        failures = [500] * 20
        early = await answer_after((record(status) for status in failures), 8.0)
        return early, await answer_after((record(status) for status in failures), 12.5)

    assert run(scenario()) == (Answer.WARN, Answer.PASS)


def test_result_counts_the_requests() -> None:
    async def scenario() -> object:
        outcomes = RequestOutcomes(clock=now)
        async with running(outcomes.check()) as registry:
            for status in [200] * 7 + [500] * 3:
                outcomes(record(status))
            await asyncio.sleep(1.5)
            return registry.monitors["requests"].state.data

    assert run(scenario()) == {"requests": 10, "failed": 3}
