"""Attempts: when they are made, how long they may take, and how they change the state."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import replace

import pytest

from reference_service.health import (
    Answer,
    Check,
    CheckFailed,
    CheckResult,
    PermanentFailure,
    Probe,
    Registry,
    Status,
)

from .clock import now, run
from .fakes import Dependency, running


def test_passing_check_runs_every_interval() -> None:
    async def scenario() -> list[float]:
        dependency = Dependency()
        async with running(Check("db", dependency.check)):
            await asyncio.sleep(16)
        return dependency.attempted_at

    assert run(scenario()) == [0, 5, 10, 15]


def test_transient_failures_are_retried_with_back_off_then_every_second() -> None:
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
            repaired_at = now()
            while registry.monitors["db"].state.status is not Status.PASS:
                await asyncio.sleep(0.05)
            return registry.monitors["db"].state.status, now() - repaired_at

    status, recovered_after = run(scenario())
    assert status is Status.PASS
    assert recovered_after <= 1.05


@pytest.mark.parametrize("error", [PermissionError("wrong password"), PermanentFailure("no role")])
def test_permanent_failure_fails_at_once_and_is_retried_every_second(
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
            await asyncio.sleep(3)
        return status, dependency.intervals()

    status, intervals = run(scenario())
    assert status is Status.FAIL
    assert intervals == [5, 1, 1, 1]


def test_hanging_attempt_is_abandoned_after_its_timeout() -> None:
    async def scenario() -> tuple[float, bool, str | None]:
        dependency = Dependency()
        dependency.hangs = True
        async with running(Check("db", dependency.check)) as registry:
            while not registry.monitors["db"].state.attempts:
                await asyncio.sleep(0.01)
            state = registry.monitors["db"].state
        return state.checked_at, state.timed_out, state.error

    at, timed_out, error = run(scenario())
    assert at == pytest.approx(0.5)
    assert timed_out
    assert error == "TimeoutError"


def test_check_that_swallows_cancellation_has_only_one_attempt_in_flight() -> None:
    async def scenario() -> tuple[int, int, int, Status]:
        dependency = Dependency()
        dependency.hangs = dependency.swallows_cancellation = True
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(30)
            tasks = len(asyncio.all_tasks())
            attempts = len(dependency.attempted_at)
            dependency.hangs = False
            dependency.released.set()
            await asyncio.sleep(2)
            status = registry.monitors["db"].state.status
        return dependency.max_in_flight, attempts, tasks, status

    max_in_flight, attempts, tasks, status = run(scenario())
    assert max_in_flight == 1
    assert attempts == 1
    assert tasks == 4  # this test, the supervisor, the monitor, the abandoned attempt
    assert status is Status.PASS


def test_attempt_that_never_ends_is_given_up_and_does_not_blind_the_check() -> None:
    async def scenario() -> tuple[Status, Answer, int]:
        dependency = Dependency()
        dependency.hangs = dependency.swallows_cancellation = True
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(5)
            dependency.hangs = False  # but the first attempt never ends
            await asyncio.sleep(29)
            status, live = registry.monitors["db"].state.status, registry.answer(Probe.LIVE)
            return status, live, dependency.in_flight

    assert run(scenario()) == (Status.PASS, Answer.PASS, 1)


def test_live_fails_when_three_attempts_of_a_check_never_end_and_no_fourth_is_given_up() -> None:
    async def scenario() -> tuple[Answer, Answer, int, Answer]:
        dependency = Dependency()
        dependency.hangs = dependency.swallows_cancellation = True
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(90)
            early = registry.answer(Probe.LIVE)
            await asyncio.sleep(60)
            late = registry.answer(Probe.LIVE)
            await asyncio.sleep(600)
            in_flight = dependency.in_flight
            dependency.hangs = False
            dependency.released.set()
            await asyncio.sleep(2)
            return early, late, in_flight, registry.answer(Probe.LIVE)

    assert run(scenario()) == (Answer.PASS, Answer.FAIL, 4, Answer.PASS)


def test_idle_check_that_hangs_fails_within_an_interval_and_three_timeouts() -> None:
    async def scenario() -> float:
        dependency = Dependency()
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(0.01)
            dependency.hangs = True
            started = now()
            while registry.monitors["db"].state.status is not Status.FAIL:
                await asyncio.sleep(0.01)
            return now() - started

    assert run(scenario()) <= 5 + 3 * 0.5 + 0.3 + 0.02


def test_rechecks_run_at_once_and_at_most_once_per_second() -> None:
    async def scenario() -> list[float]:
        dependency = Dependency()
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(2.3)
            for _ in range(21):
                registry.recheck()
                await asyncio.sleep(0.1)
        return [round(at, 2) for at in dependency.attempted_at]

    assert run(scenario()) == [0, 2.3, 3.3, 4.3]


def test_rechecks_of_a_slow_check_are_kept_and_leave_half_of_the_time_to_rest() -> None:
    async def scenario() -> list[float]:
        attempted_at: list[float] = []

        async def check() -> None:
            attempted_at.append(round(now(), 2))
            await asyncio.sleep(3)

        async with running(Check("db", check, timeout=8.0, interval=60.0)) as registry:
            await asyncio.sleep(3.5)
            registry.recheck()  # once: the evidence must not be lost
            await asyncio.sleep(6)
            for _ in range(80):
                registry.recheck()
                await asyncio.sleep(0.1)
        return attempted_at

    assert run(scenario()) == [0, 6, 12]


def test_recheck_of_a_name_runs_only_that_check_and_those_below() -> None:
    async def scenario() -> tuple[int, int, int]:
        db, pool, cache = Dependency(), Dependency(), Dependency()
        checks = Check("db", db.check), Check("db.pool", pool.check), Check("dbx", cache.check)
        async with running(*checks) as registry:
            await asyncio.sleep(2)
            registry.recheck("db")
            await asyncio.sleep(1)
        return len(db.attempted_at), len(pool.attempted_at), len(cache.attempted_at)

    assert run(scenario()) == (2, 2, 1)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_check_that_raises_base_exception_fails_and_runs_again(error: BaseException) -> None:
    async def scenario() -> tuple[Status, str, int]:
        dependency = Dependency()
        dependency.error = error
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(4)
            state = registry.monitors["db"].state
        return state.status, state.detail, state.attempts

    status, detail, attempts = run(scenario())
    assert status is Status.FAIL
    assert detail == f"the check raised {type(error).__name__}"
    assert attempts > 3


def test_returned_failure_counts_like_a_raised_one_and_keeps_its_data() -> None:
    async def scenario() -> tuple[Status, int, object]:
        dependency = Dependency()
        dependency.result = CheckResult(Status.FAIL, "lag", {"seconds": 9, "detail": "it lags"})
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(2.5)
            state = registry.monitors["db"].state
        return state.status, state.consecutive_failures, state.data["seconds"]

    assert run(scenario()) == (Status.FAIL, 3, 9)


def test_warning_check_keeps_its_status_until_the_threshold() -> None:
    async def scenario() -> list[tuple[Status, int]]:
        dependency = Dependency()
        dependency.result = CheckResult(Status.WARN, "full")
        seen = []
        async with running(Check("pool", dependency.check, interval=1)) as registry:
            await asyncio.sleep(0.5)
            seen.append((registry.monitors["pool"].state.status, 0))
            dependency.error = CheckFailed("worse")
            await asyncio.sleep(0.55)
            state = registry.monitors["pool"].state
            seen.append((state.status, state.consecutive_failures))
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


def test_run_all_now_makes_one_attempt_at_once_within_the_given_context() -> None:
    async def scenario() -> tuple[list[float], list[str]]:
        dependency, entered = Dependency(), list[str]()

        @contextlib.contextmanager
        def attempt_context(check: Check) -> Iterator[None]:
            try:
                yield
            except TimeoutError:
                entered.append(f"{check.name} timed out")
                raise
            else:
                entered.append(f"{check.name} passed")

        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(2.5)
            await registry.run_all_now(attempt_context)
            dependency.hangs = True
            await asyncio.gather(*(registry.run_all_now(attempt_context) for _ in range(3)))
        return dependency.attempted_at, entered

    attempted_at, entered = run(scenario())
    assert attempted_at == [0, 2.5, 2.5]
    assert entered == ["db passed", "db timed out"]


def test_run_all_now_does_not_wait_for_a_recheck_that_is_due_later() -> None:
    async def scenario() -> list[float]:
        dependency = Dependency()
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(2.5)
            registry.recheck()
            await asyncio.sleep(0.25)
            registry.recheck()  # the next attempt is due at 3.5 s
            await asyncio.sleep(0.25)
            await registry.run_all_now(lambda _: contextlib.nullcontext())
        return dependency.attempted_at

    assert run(scenario()) == [0, 2.5, 3.0]


def test_expired_result_is_restored_only_by_a_pass() -> None:
    async def scenario() -> tuple[Status, Status]:
        dependency = Dependency()
        check = Check("db", dependency.check, failure_threshold=3)
        async with running(check) as registry:
            await asyncio.sleep(0.1)
            # As after SIGSTOP: the clock goes on, and nothing runs.
            registry.monitors["db"].state = replace(registry.monitors["db"].state, expires_at=1.0)
            dependency.error = ConnectionError()
            await asyncio.sleep(4.95)  # one attempt has failed
            after_failure = registry.monitors["db"].status(now())
            dependency.error = None
            await asyncio.sleep(1.1)
            return after_failure, registry.monitors["db"].status(now())

    assert run(scenario()) == (Status.FAIL, Status.PASS)


def test_pass_that_is_seen_long_after_its_timeout_does_not_count_as_new() -> None:
    async def scenario() -> list[Status]:
        late, seen = 0.0, []
        answered = asyncio.Event()

        async def check() -> None:
            await answered.wait()

        registry = Registry([Check("db", check)], clock=lambda: now() + late)
        await registry.start()
        await asyncio.sleep(0.1)
        late = 60.0  # as during SIGSTOP, after the answer has arrived
        answered.set()
        monitor = registry.monitors["db"]
        while not monitor.state.attempts:
            await asyncio.sleep(0)
        seen.append(monitor.status(registry.clock()))
        await asyncio.sleep(0.1)
        seen.append(monitor.status(registry.clock()))
        await registry.stop()
        return seen

    assert run(scenario()) == [Status.FAIL, Status.PASS]


def test_run_all_now_returns_when_the_monitors_stop_or_do_not_run() -> None:
    async def scenario() -> None:
        registry = Registry([Check("db", Dependency().check)], clock=now)
        await registry.run_all_now(lambda _: contextlib.nullcontext())
        await registry.start()
        await asyncio.sleep(0.1)
        registry.add(Check("cache", Dependency().check))  # its monitor does not run yet
        waiting = asyncio.create_task(registry.run_all_now(lambda _: contextlib.nullcontext()))
        await asyncio.sleep(0)
        await registry.stop()
        await asyncio.wait_for(waiting, 1)

    run(scenario())


def test_intervals_are_shortened_at_random_so_that_replicas_do_not_fall_into_step() -> None:
    async def scenario() -> list[float]:
        dependency = Dependency()
        check = Check("db", dependency.check, interval=5.0)
        async with running(check, jitter=0.1):
            await asyncio.sleep(200)
        return dependency.intervals()

    intervals = run(scenario())
    assert 4.5 <= min(intervals) < max(intervals) <= 5


def test_failed_checks_are_tried_again_at_random_moments() -> None:
    """Replicas that have lost the same database must not all ask it at the same moment."""

    async def scenario() -> list[float]:
        dependency = Dependency()
        dependency.error = ConnectionRefusedError()
        async with running(Check("db", dependency.check), jitter=0.1):
            await asyncio.sleep(60)
        return dependency.intervals()

    intervals = run(scenario())
    assert 0.9 <= min(intervals) < max(intervals) <= 1


def test_every_attempt_is_made_within_the_attempt_context_of_the_registry() -> None:
    inside: ContextVar[str] = ContextVar("inside", default="nothing")

    @contextlib.contextmanager
    def attempt_context(check: Check) -> Iterator[None]:
        token = inside.set(check.name)
        yield
        inside.reset(token)

    async def scenario() -> list[str]:
        seen: list[str] = []

        async def check() -> None:
            seen.append(inside.get())

        registry = Registry([Check("db", check)], clock=now, attempt_context=attempt_context)
        await registry.start()
        await asyncio.sleep(6)
        await registry.stop()
        return seen

    assert run(scenario()) == ["db", "db"]
