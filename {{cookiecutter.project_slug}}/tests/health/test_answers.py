"""The three probes: what they say of the verdicts, and when."""

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


def test_startup_turns_green_once_every_check_has_passed_and_stays_so() -> None:
    async def scenario() -> list[Answer]:
        slow, quick = Dependency(), Dependency()
        slow.error = ConnectionError()
        answers = []
        async with running(Check("a", slow.check), Check("b", quick.check)) as registry:
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


def test_a_dependency_that_is_silent_at_start_leaves_live_green_and_the_rest_503() -> None:
    async def scenario() -> dict[Probe, Answer]:
        dependency = Dependency()
        dependency.hangs = True
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(30)
            return {probe: registry.answer(probe) for probe in Probe}

    assert run(scenario()) == {Probe.STARTUP: FAIL, Probe.READY: FAIL, Probe.LIVE: PASS}


def test_an_optional_dependency_that_is_away_does_not_hold_up_the_start() -> None:
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
def test_ready_is_the_worst_of_its_checks_and_504_only_where_all_failures_are_silence(
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


def test_a_failing_check_with_impact_warn_never_takes_the_service_out_of_rotation() -> None:
    async def scenario() -> Answer:
        dependency = Dependency()
        async with running(Check("db", dependency.check, impact=Status.WARN)) as registry:
            await asyncio.sleep(1)
            dependency.hangs = True
            await asyncio.sleep(30)
            return registry.answer(Probe.READY)

    assert run(scenario()) == WARN


def test_draining_turns_ready_red_and_leaves_live_green() -> None:
    async def scenario() -> dict[Probe, Answer]:
        async with running(Check("db", Dependency().check)) as registry:
            await asyncio.sleep(1)
            registry.drain()
            return {probe: registry.answer(probe) for probe in Probe}

    assert run(scenario()) == {Probe.STARTUP: PASS, Probe.READY: FAIL, Probe.LIVE: PASS}


def test_live_can_be_made_to_fail_while_draining() -> None:
    async def scenario() -> Answer:
        async with running(options=Options(live_fails_on_shutdown=True)) as registry:
            registry.drain()
            return registry.answer(Probe.LIVE)

    assert run(scenario()) == FAIL


def test_a_verdict_that_nobody_renews_is_stale_and_fails() -> None:
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


def test_live_fails_only_when_the_supervisor_is_dead_or_wedged() -> None:
    async def scenario() -> list[Answer]:
        answers = []
        async with running(Check("db", Dependency().check)) as registry:
            await asyncio.sleep(1)
            supervisor = registry._supervisor
            assert supervisor is not None
            answers.append(registry.answer(Probe.LIVE))
            registry._beat = now() - 31
            answers.append(registry.answer(Probe.LIVE))
            await asyncio.sleep(1)
            answers.append(registry.answer(Probe.LIVE))
            supervisor.cancel()
            await asyncio.sleep(0)
            answers.append(registry.answer(Probe.LIVE))
        return answers

    assert run(scenario()) == [PASS, FAIL, PASS, FAIL]


def test_a_monitor_that_ends_is_started_again() -> None:
    async def scenario() -> tuple[int, int]:
        dependency = Dependency()
        async with running(Check("db", dependency.check)):
            await asyncio.sleep(0.5)
            for task in asyncio.all_tasks():
                if task.get_name() == "monitor db":
                    task.cancel()
            before = len(dependency.asked_at)
            await asyncio.sleep(1)
            return before, len(dependency.asked_at)

    assert run(scenario()) == (1, 2)


def test_a_failure_has_the_other_checks_look_again_at_once() -> None:
    async def scenario() -> list[float]:
        one, two = Dependency(), Dependency()
        async with running(Check("one", one.check), Check("two", two.check, interval=20)):
            await asyncio.sleep(3)
            one.error = ConnectionError()
            await asyncio.sleep(5)
        return [round(at, 1) for at in two.asked_at]

    assert run(scenario()) == [0, 5.3]


def test_stopping_leaves_no_task_behind() -> None:
    async def scenario() -> int:
        dependency = Dependency()
        dependency.hangs = True
        async with running(Check("db", dependency.check)):
            await asyncio.sleep(3.2)
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert run(scenario()) == 1


def test_two_checks_of_one_name_are_refused() -> None:
    check = Check("db", Dependency().check)
    with pytest.raises(ValueError, match="two checks are named 'db'"):
        Registry([check, check])


@pytest.mark.parametrize("name", ["", "Db", "a b", "a/b", "é"])
def test_a_name_that_cannot_stand_in_a_path_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="check name"):
        Check(name, Dependency().check)
