"""Attempts: how often, how long, how many, and what they make of a check."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from reference_service.health import (
    Check,
    CheckFailed,
    CheckResult,
    PermanentFailure,
    Registry,
    Status,
)

from .clock import now, run
from .fakes import Dependency, running


def test_a_passing_check_is_asked_every_interval() -> None:
    async def scenario() -> list[float]:
        dependency = Dependency()
        async with running(Check("db", dependency.check)):
            await asyncio.sleep(16)
        return dependency.asked_at

    assert run(scenario()) == [0, 5, 10, 15]


def test_transient_failures_are_retried_with_growing_back_off_then_every_second() -> None:
    async def scenario() -> tuple[list[float], list[Status]]:
        dependency = Dependency()
        seen = []
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(1)
            dependency.error = ConnectionError("refused")
            for _ in range(40):
                await asyncio.sleep(0.2)
                seen.append(registry.monitors["db"].state.status)
        return dependency.intervals(), seen

    intervals, seen = run(scenario())
    assert intervals[:6] == [5, 0.1, 0.2, 1, 1, 1]
    failed_at = 1 + 0.2 * (seen.index(Status.FAIL) + 1)
    assert failed_at == pytest.approx(5.4, abs=0.11)  # the third failure, at 5.3 s


def test_one_pass_restores_a_failed_check() -> None:
    async def scenario() -> tuple[Status, float]:
        dependency = Dependency()
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(1)
            dependency.error = ConnectionError()
            await asyncio.sleep(10)
            dependency.error = None
            healed = now()
            while registry.monitors["db"].state.status is not Status.PASS:
                await asyncio.sleep(0.05)
            return registry.monitors["db"].state.status, now() - healed

    status, took = run(scenario())
    assert status is Status.PASS
    assert took <= 1.05


@pytest.mark.parametrize("error", [PermissionError("wrong password"), PermanentFailure("no role")])
def test_a_permanent_failure_fails_at_once_and_is_tried_again_every_interval(
    error: Exception,
) -> None:
    async def scenario() -> tuple[Status, list[float]]:
        dependency = Dependency()
        check = Check("db", dependency.check, permanent=(PermissionError,))
        async with running(check) as registry:
            await asyncio.sleep(1)
            dependency.error = error
            await asyncio.sleep(4.1)
            status = registry.monitors["db"].state.status
            await asyncio.sleep(12)
        return status, dependency.intervals()

    status, intervals = run(scenario())
    assert status is Status.FAIL
    # The transition has every check, this one too, look again after a second.
    assert intervals == [5, 1, 5, 5]


def test_a_hung_attempt_is_abandoned_after_its_timeout() -> None:
    async def scenario() -> tuple[float, bool, str | None]:
        dependency = Dependency()
        dependency.hangs = True
        async with running(Check("db", dependency.check)) as registry:
            while not registry.monitors["db"].state.attempts:
                await asyncio.sleep(0.01)
            verdict = registry.monitors["db"].state
        return verdict.checked_at, verdict.timed_out, verdict.error

    at, timed_out, error = run(scenario())
    assert at == pytest.approx(0.5)
    assert timed_out
    assert error == "TimeoutError"


def test_a_check_that_swallows_cancellation_is_never_joined_by_a_second_attempt() -> None:
    async def scenario() -> tuple[int, int, int, Status]:
        dependency = Dependency()
        dependency.hangs = dependency.swallows_cancellation = True
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(60)
            tasks = len(asyncio.all_tasks())
            asked = len(dependency.asked_at)
            dependency.hangs = False
            dependency.released.set()
            await asyncio.sleep(2)
            status = registry.monitors["db"].state.status
        return dependency.most_in_flight, asked, tasks, status

    most, asked, tasks, status = run(scenario())
    assert most == 1
    assert asked == 1
    assert tasks == 4  # this test, the supervisor, the monitor, the orphan
    assert status is Status.PASS


def test_idle_detection_of_silence_is_within_an_interval_and_three_timeouts() -> None:
    async def scenario() -> float:
        dependency = Dependency()
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(0.01)
            dependency.hangs = True
            began = now()
            while registry.monitors["db"].state.status is not Status.FAIL:
                await asyncio.sleep(0.01)
            return now() - began

    assert run(scenario()) <= 5 + 3 * 0.5 + 0.3 + 0.02


def test_suspicion_is_answered_within_a_second_and_at_most_once_a_second() -> None:
    async def scenario() -> list[float]:
        dependency = Dependency()
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(2.3)
            for _ in range(20):
                registry.recheck()
                await asyncio.sleep(0.1)
        return [round(at, 2) for at in dependency.asked_at]

    assert run(scenario()) == [0, 2.3, 3.3, 4.3]


def test_suspicion_of_one_dependency_leaves_the_others_alone() -> None:
    async def scenario() -> tuple[int, int, int]:
        db, pool, cache = Dependency(), Dependency(), Dependency()
        checks = Check("db", db.check), Check("db.pool", pool.check), Check("dbx", cache.check)
        async with running(*checks) as registry:
            await asyncio.sleep(2)
            registry.recheck("db")
            await asyncio.sleep(1)
        return len(db.asked_at), len(pool.asked_at), len(cache.asked_at)

    assert run(scenario()) == (2, 2, 1)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_a_check_can_end_neither_its_monitor_nor_the_process(error: BaseException) -> None:
    async def scenario() -> tuple[Status, str, int]:
        dependency = Dependency()
        dependency.error = error
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(4)
            verdict = registry.monitors["db"].state
        return verdict.status, verdict.detail, verdict.attempts

    status, detail, attempts = run(scenario())
    assert status is Status.FAIL
    assert detail == f"the check raised {type(error).__name__}"
    assert attempts > 3


def test_a_returned_failure_counts_like_a_raised_one_and_keeps_its_data() -> None:
    async def scenario() -> tuple[Status, int, object]:
        dependency = Dependency()
        dependency.result = CheckResult(Status.FAIL, "lag", {"seconds": 9, "detail": "it lags"})
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(2.5)
            verdict = registry.monitors["db"].state
        return verdict.status, verdict.failures, verdict.data["seconds"]

    assert run(scenario()) == (Status.FAIL, 3, 9)


def test_a_warning_is_kept_until_the_threshold_and_is_no_failure() -> None:
    async def scenario() -> list[tuple[Status, int]]:
        dependency = Dependency()
        dependency.result = CheckResult(Status.WARN, "full")
        seen = []
        async with running(Check("pool", dependency.check, interval=1)) as registry:
            await asyncio.sleep(0.5)
            seen.append((registry.monitors["pool"].state.status, 0))
            dependency.error = CheckFailed("worse")
            await asyncio.sleep(0.55)
            verdict = registry.monitors["pool"].state
            seen.append((verdict.status, verdict.failures))
            await asyncio.sleep(1)
            seen.append((registry.monitors["pool"].state.status, 0))
        return seen

    assert run(scenario()) == [(Status.WARN, 0), (Status.WARN, 1), (Status.FAIL, 0)]


def test_each_change_is_logged_once_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        dependency = Dependency()
        async with running(Check("db", dependency.check)):
            await asyncio.sleep(1)
            dependency.error = ConnectionError("refused by db.internal")
            await asyncio.sleep(20)
            dependency.error = OSError("no route")
            await asyncio.sleep(20)
            dependency.error = None
            await asyncio.sleep(20)

    with caplog.at_level("INFO"):
        run(scenario())
    assert caplog.messages == [
        "health check db: pass",
        "health check db: fail: ConnectionError: refused by db.internal",
        "health check db: fail: OSError: no route",
        "health check db: pass",
    ]


def test_an_attempt_that_is_asked_for_comes_at_once_within_what_was_asked() -> None:
    async def scenario() -> tuple[list[float], list[str]]:
        dependency, entered = Dependency(), list[str]()

        @contextlib.contextmanager
        def attempt_context(check: Check) -> Iterator[None]:
            try:
                yield
            except TimeoutError:
                entered.append(f"{check.name} timed out")
            else:
                entered.append(f"{check.name} passed")

        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(2.5)
            await registry.run_all_now(attempt_context)
            dependency.hangs = True
            await asyncio.gather(*(registry.run_all_now(attempt_context) for _ in range(3)))
        return dependency.asked_at, entered

    asked_at, entered = run(scenario())
    assert asked_at == [0, 2.5, 2.5]
    assert entered == ["db passed", "db timed out"]


def test_every_attempt_is_made_within_what_the_registry_was_given() -> None:
    inside: ContextVar[str] = ContextVar("inside", default="nothing")

    @contextlib.contextmanager
    def attempt_context(check: Check) -> Iterator[None]:
        token = inside.set(check.name)
        yield
        inside.reset(token)

    async def scenario() -> list[str]:
        seen: list[str] = []

        async def look() -> None:
            seen.append(inside.get())

        registry = Registry([Check("db", look)], clock=now, attempt_context=attempt_context)
        await registry.start()
        await asyncio.sleep(6)
        await registry.stop()
        return seen

    assert run(scenario()) == ["db", "db"]
