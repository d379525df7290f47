"""`Check` rejects mistakes when it is constructed, not when it first runs."""

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import AsyncMock

import pytest

from reference_service.health import (
    Check,
    CheckFailed,
    CheckResult,
    Status,
    run_once,
)

from .clock import run
from .fakes import Dependency, running


@pytest.mark.parametrize("name", ["", "Db", "a b", "a/b", "é"])
def test_name_that_cannot_be_part_of_a_path_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="check name"):
        Check(name, Dependency().check)


def test_impact_pass_is_rejected() -> None:
    with pytest.raises(ValueError, match="check db: impact must be 'fail' or 'warn'"):
        Check("db", Dependency().check, impact=Status.PASS)


THREADS: list[str] = []  # in which the functions below have run


def function(seconds: float = 0) -> None:
    THREADS.append(threading.current_thread().name)


class Synchronous:
    def method(self, seconds: float = 0) -> None:
        function(seconds)

    @staticmethod
    def static_method() -> None:
        function()


@functools.wraps(function)
async def asynchronously(seconds: float = 0) -> None: ...


@pytest.mark.parametrize(
    "synchronous",
    [
        function,
        Synchronous().method,
        Synchronous.static_method,
        functools.partial(function, 1),
        functools.partial(functools.partial(Synchronous().method), 1),
    ],
)
def test_synchronous_function_runs_in_a_thread_of_its_own(synchronous: Callable[[], None]) -> None:
    THREADS.clear()
    assert asyncio.run(run_once(Check("db", synchronous))) == CheckResult()
    assert THREADS == ["health check db"]


@pytest.mark.parametrize("returned", [False, True, "ok"])
def test_other_return_values_are_failures(returned: Any) -> None:
    for check in (Check("db", lambda: returned), Check("db", functools.partial(give, returned))):
        with pytest.raises(CheckFailed, match="return None or a CheckResult"):
            asyncio.run(run_once(check))


def give(value: Any) -> Any:
    return value


@pytest.mark.parametrize("error", [OSError(), SystemExit(1), StopIteration(), KeyboardInterrupt()])
def test_whatever_a_synchronous_function_raises_is_a_failure(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises((OSError, CheckFailed, RuntimeError)):
        asyncio.run(run_once(Check("db", fail)))


async def coroutine_function(seconds: float = 0) -> None:
    await asyncio.sleep(seconds)


@functools.wraps(coroutine_function)
def decorated(seconds: float = 0) -> Awaitable[None]:
    return coroutine_function(seconds)


class Asynchronous:
    async def __call__(self) -> CheckResult:
        return CheckResult()

    async def method(self) -> None: ...


class ReturnsAwaitable:
    def __call__(self) -> Awaitable[None]:
        return coroutine_function()


@pytest.mark.parametrize(
    "asynchronous",
    [
        coroutine_function,
        decorated,
        asynchronously,
        Asynchronous(),
        Asynchronous().method,
        ReturnsAwaitable(),
        lambda: coroutine_function(0.1),
        functools.partial(coroutine_function, 0.1),
        functools.partial(lambda check: check(), coroutine_function),
        AsyncMock(return_value=None),
    ],
)
def test_every_callable_that_returns_an_awaitable_is_accepted(
    asynchronous: Callable[[], Awaitable[CheckResult | None]],
) -> None:
    async def scenario() -> Status:
        async with running(Check("db", asynchronous)) as registry:
            await asyncio.sleep(1)
            return registry.monitors["db"].state.status

    assert run(scenario()) is Status.PASS
