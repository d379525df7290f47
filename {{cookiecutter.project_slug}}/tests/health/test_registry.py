"""The registry: how it answers the three probes, and how it keeps the checks running."""

import asyncio

import pytest

from reference_service.health import (
    Answer,
    Check,
    CheckResult,
    Options,
    Probe,
    Registry,
    Status,
)

from .clock import now, run
from .fakes import Dependency, running

PASS, WARN, FAIL, TIMEOUT = Answer.PASS, Answer.WARN, Answer.FAIL, Answer.TIMEOUT


def cancel_task(name: str) -> None:
    [task] = [task for task in asyncio.all_tasks() if task.get_name() == name]
    task.cancel()


def test_startup_passes_for_good_after_every_check_was_tried() -> None:
    async def scenario() -> list[Answer]:
        hanging, failing = Dependency(), Dependency()
        hanging.hangs = True
        failing.error = ConnectionError()
        answers = []
        async with running(Check("a", hanging.check), Check("b", failing.check)) as registry:
            await asyncio.sleep(0.4)
            answers.append(registry.answer(Probe.STARTUP))
            await asyncio.sleep(20)
            answers.append(registry.answer(Probe.STARTUP))
            answers.append(registry.answer(Probe.READY))
        return answers

    assert run(scenario()) == [FAIL, PASS, FAIL]


def test_startup_passes_for_good_after_every_check_has_passed_if_it_needs_checks() -> None:
    async def scenario() -> list[Answer]:
        slow, quick, optional = Dependency(), Dependency(), Dependency()
        slow.error = optional.error = ConnectionError()
        checks = [
            Check("a", slow.check),
            Check("b", quick.check),
            Check("c", optional.check, impact=Status.WARN),
        ]
        answers = []
        async with running(*checks, options=Options(startup_needs_checks=True)) as registry:
            await asyncio.sleep(3.5)
            answers.append(registry.answer(Probe.STARTUP))
            slow.error = None
            await asyncio.sleep(1)
            answers.append(registry.answer(Probe.STARTUP))
            slow.error = ConnectionError()
            await asyncio.sleep(20)
            answers.append(registry.answer(Probe.STARTUP))
            answers.append(registry.answer(Probe.READY))
        return answers

    assert run(scenario()) == [FAIL, PASS, PASS, FAIL]


def test_dependency_that_hangs_at_start_fails_ready_alone() -> None:
    async def scenario() -> dict[Probe, Answer]:
        dependency = Dependency()
        dependency.hangs = True
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(30)
            return {probe: registry.answer(probe) for probe in Probe}

    assert run(scenario()) == {Probe.STARTUP: PASS, Probe.READY: TIMEOUT, Probe.LIVE: PASS}


def test_failing_check_with_impact_warn_does_not_delay_startup() -> None:
    async def scenario() -> tuple[Answer, Answer, Answer]:
        dependency = Dependency()
        dependency.error = ConnectionError()
        check = Check("cache", dependency.check, impact=Status.WARN)
        registry = Registry([check], clock=now)
        before = registry.answer(Probe.STARTUP)
        async with running(check) as registry:
            await asyncio.sleep(0.1)
            return before, registry.answer(Probe.STARTUP), registry.answer(Probe.READY)

    assert run(scenario()) == (FAIL, PASS, WARN)


@pytest.mark.parametrize(
    ("first", "second", "answer"),
    [
        (None, None, PASS),
        (ConnectionError(), None, FAIL),
        (TimeoutError(), None, TIMEOUT),
        (TimeoutError(), TimeoutError(), TIMEOUT),
        (TimeoutError(), ConnectionError(), FAIL),
        (CheckResult(Status.WARN), None, WARN),
        (CheckResult(Status.WARN), ConnectionError(), FAIL),
    ],
)
def test_ready_has_the_worst_status_and_504_if_all_failures_are_timeouts(
    first: CheckResult | Exception | None, second: Exception | None, answer: Answer
) -> None:
    async def scenario() -> Answer:
        one, two = Dependency(), Dependency()
        async with running(Check("one", one.check), Check("two", two.check)) as registry:
            await asyncio.sleep(0.1)
            if isinstance(first, CheckResult):
                one.result = first
            else:
                one.error = first
            two.error = second
            await asyncio.sleep(10)
            return registry.answer(Probe.READY)

    assert run(scenario()) == answer


def test_failing_check_with_impact_warn_makes_ready_warn() -> None:
    async def scenario() -> Answer:
        dependency = Dependency()
        async with running(Check("db", dependency.check, impact=Status.WARN)) as registry:
            await asyncio.sleep(1)
            dependency.hangs = True
            await asyncio.sleep(30)
            return registry.answer(Probe.READY)

    assert run(scenario()) == WARN


def test_draining_fails_ready_and_not_live() -> None:
    async def scenario() -> dict[Probe, Answer]:
        async with running(Check("db", Dependency().check)) as registry:
            await asyncio.sleep(1)
            registry.drain()
            return {probe: registry.answer(probe) for probe in Probe}

    assert run(scenario()) == {Probe.STARTUP: PASS, Probe.READY: FAIL, Probe.LIVE: PASS}


def test_draining_with_live_fails_on_shutdown_fails_live() -> None:
    async def scenario() -> Answer:
        async with running(options=Options(live_fails_on_shutdown=True)) as registry:
            registry.drain()
            return registry.answer(Probe.LIVE)

    assert run(scenario()) == FAIL


def test_result_that_is_not_renewed_becomes_stale_and_fails_ready() -> None:
    async def scenario() -> list[tuple[Answer, bool]]:
        seen = []
        async with running(Check("db", Dependency().check)) as registry:
            await asyncio.sleep(1)
            monitor = registry.monitors["db"]
        for _ in range(2):
            seen.append((registry.answer(Probe.READY), monitor.stale(now())))
            await asyncio.sleep(7)
        return seen

    assert run(scenario()) == [(PASS, False), (FAIL, True)]


def test_supervisor_dead_or_stuck_fails_live() -> None:
    async def scenario() -> list[Answer]:
        answers, late = [], 0.0
        registry = Registry([Check("db", Dependency().check)], clock=lambda: now() + late)
        await registry.start()
        await asyncio.sleep(1)
        answers.append(registry.answer(Probe.LIVE))
        late = 31.0
        answers.append(registry.answer(Probe.LIVE))
        await asyncio.sleep(1)
        answers.append(registry.answer(Probe.LIVE))
        cancel_task("health supervisor")
        await asyncio.sleep(0.1)
        answers.append(registry.answer(Probe.LIVE))
        await registry.stop()
        return answers

    assert run(scenario()) == [PASS, FAIL, PASS, FAIL]


def test_monitor_that_stops_is_restarted() -> None:
    async def scenario() -> tuple[int, int]:
        dependency = Dependency()
        async with running(Check("db", dependency.check)):
            await asyncio.sleep(0.5)
            cancel_task("monitor db")
            before = len(dependency.attempted_at)
            await asyncio.sleep(1)
            return before, len(dependency.attempted_at)

    assert run(scenario()) == (1, 2)


def test_check_that_stops_passing_rechecks_all_checks() -> None:
    async def scenario() -> list[float]:
        one, two = Dependency(), Dependency()
        async with running(Check("one", one.check), Check("two", two.check, interval=20)):
            await asyncio.sleep(3)
            one.error = ConnectionError()
            await asyncio.sleep(5)
        return [round(at, 1) for at in two.attempted_at]

    assert run(scenario()) == [0, 5.3]


def test_stop_leaves_no_task_running() -> None:
    async def scenario() -> int:
        dependency = Dependency()
        dependency.hangs = True
        async with running(Check("db", dependency.check)):
            await asyncio.sleep(3.2)
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert run(scenario()) == 1


def test_duplicate_check_name_is_rejected() -> None:
    check = Check("db", Dependency().check)
    with pytest.raises(ValueError, match="two checks are named 'db'"):
        Registry([check, check])
