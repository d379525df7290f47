"""Work that needs a dependency is rejected while its check fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from reference_service.health import (
    Check,
    CheckFailed,
    Options,
    Registry,
    Status,
)
from reference_service.traffic import (
    CircuitBreaker,
    CircuitOpenError,
    WorkAbandonedError,
)

from ..health import clock
from ..health.fakes import Dependency, running

RETRY = Options().timeout + 1.0
"""Seconds until a failing check has certainly made another attempt."""


class Harmless(CheckFailed):
    """The check fails, and the work can succeed."""


@asynccontextmanager
async def watched(
    dependency: Dependency, *, allow: tuple[type[Exception], ...] = (), impact: Status = Status.FAIL
) -> AsyncIterator[tuple[CircuitBreaker, Registry]]:
    """Run the check of a dependency, and yield its circuit breaker after the first attempt."""
    circuit = CircuitBreaker("shop", allow=allow)
    async with running(Check("shop", dependency.check, impact)) as registry:
        circuit.watch(registry)
        await asyncio.sleep(0.01)
        yield circuit, registry


async def work(result: str = "done") -> str:
    return result


def play(scenario: Callable[[Dependency], Awaitable[None]]) -> None:
    """Run a scenario with a working dependency, on virtual time."""

    async def run() -> None:
        await scenario(Dependency())

    clock.run(run())


def test_work_runs_while_the_check_passes() -> None:
    async def scenario(dependency: Dependency) -> None:
        async with watched(dependency) as (circuit, _):
            assert await circuit.run(work, result="done") == "done"

    play(scenario)


def test_errors_of_the_work_are_raised_and_open_nothing() -> None:
    async def fail() -> None:
        raise ConnectionError

    async def scenario(dependency: Dependency) -> None:
        async with watched(dependency) as (circuit, _):
            for _ in range(10):
                with pytest.raises(ConnectionError):
                    await circuit.run(fail)
            assert await circuit.run(work) == "done"

    play(scenario)


@pytest.mark.parametrize("impact", [Status.FAIL, Status.WARN])
def test_work_is_not_started_while_the_check_fails_whatever_its_impact(impact: Status) -> None:
    async def scenario(dependency: Dependency) -> None:
        started = []

        async def note() -> None:
            started.append(clock.now())

        async with watched(dependency, impact=impact) as (circuit, registry):
            dependency.error = ConnectionError()
            registry.recheck()
            await asyncio.sleep(5 * RETRY)
            at = clock.now()
            with pytest.raises(CircuitOpenError):
                await circuit.run(note)
            assert clock.now() == at
            assert started == []

    play(scenario)


def test_one_failed_attempt_opens_nothing() -> None:
    async def scenario(dependency: Dependency) -> None:
        async with watched(dependency) as (circuit, registry):
            dependency.error = ConnectionError()
            registry.recheck()
            while registry.monitors["shop"].state.consecutive_failures == 0:
                await asyncio.sleep(0.01)
            assert not circuit.is_open()

    play(scenario)


def test_one_pass_closes_the_circuit_without_a_request() -> None:
    async def scenario(dependency: Dependency) -> None:
        async with watched(dependency) as (circuit, registry):
            dependency.error = ConnectionError()
            registry.recheck()
            await asyncio.sleep(5 * RETRY)
            assert circuit.is_open()
            dependency.error = None
            await asyncio.sleep(RETRY)
            assert await circuit.run(work) == "done"

    play(scenario)


def test_running_work_is_abandoned_when_the_check_fails_even_if_it_swallows_cancellation() -> None:
    async def scenario(dependency: Dependency) -> None:
        end = asyncio.Event()
        cancelled_at = []

        async def hang() -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled_at.append(clock.now())
                await end.wait()

        async with watched(dependency) as (circuit, registry):
            waiting = [asyncio.create_task(circuit.run(hang)) for _ in range(3)]
            dependency.hangs = True
            registry.recheck()
            done, _ = await asyncio.wait(waiting, timeout=5 * RETRY)
            assert len(done) == 3
            assert all(isinstance(task.exception(), WorkAbandonedError) for task in waiting)
            changed_at = registry.monitors["shop"].state.since
            await asyncio.sleep(0)
            assert cancelled_at == [changed_at] * 3
            end.set()

    play(scenario)


def test_cancelled_run_ends_after_its_work() -> None:
    async def scenario(dependency: Dependency) -> None:
        ended = []

        async def clean_up() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(1)
                ended.append(clock.now())

        async with watched(dependency) as (circuit, _):
            task = asyncio.create_task(circuit.run(clean_up))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended == [clock.now()]

    play(scenario)


def test_allowed_error_of_the_check_rejects_nothing() -> None:
    async def scenario(dependency: Dependency) -> None:
        async with watched(dependency, allow=(Harmless,)) as (circuit, registry):
            dependency.error = Harmless("")
            registry.recheck()
            await asyncio.sleep(5 * RETRY)
            assert registry.monitors["shop"].state.status is Status.FAIL
            assert await circuit.run(work) == "done"
            dependency.error = ConnectionError()
            await asyncio.sleep(5 * RETRY)
            assert circuit.is_open()

    play(scenario)


def test_nothing_is_rejected_before_the_first_result() -> None:
    async def scenario(dependency: Dependency) -> None:
        dependency.hangs = True
        circuit = CircuitBreaker("shop")
        assert await circuit.run(work) == "done"  # no registry is watched yet
        async with running(Check("shop", dependency.check)) as registry:
            circuit.watch(registry)
            await asyncio.sleep(0.01)
            assert await circuit.run(work) == "done"
            await asyncio.sleep(RETRY)
            assert circuit.is_open()

    play(scenario)


def test_failure_that_has_expired_rejects_nothing() -> None:
    """If no attempt is made, no attempt can close the circuit again."""

    async def scenario(dependency: Dependency) -> None:
        dependency.error = ConnectionError()
        async with watched(dependency) as (circuit, registry):
            assert circuit.is_open()
            await registry.stop()
            await asyncio.sleep(10)
            assert await circuit.run(work) == "done"

    play(scenario)


def test_any_of_several_checks_opens_the_circuit() -> None:
    async def scenario(dependency: Dependency) -> None:
        broken = Dependency()
        broken.error = ConnectionError()
        both, first = CircuitBreaker("shop", "shop.write"), CircuitBreaker("shop")
        checks = Check("shop", dependency.check), Check("shop.write", broken.check)
        async with running(*checks) as registry:
            for circuit in (both, first):
                circuit.watch(registry)
            await asyncio.sleep(RETRY)
            assert (both.is_open(), first.is_open()) == (True, False)

    play(scenario)


def test_unknown_check_is_an_error() -> None:
    with pytest.raises(KeyError, match="shpo"):
        CircuitBreaker("shpo").watch(Registry())
