"""`Check` rejects mistakes when it is constructed, not when it first runs."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from unittest.mock import AsyncMock

import pytest

from reference_service.health import Check, CheckResult, Status

from .clock import run
from .fakes import Dependency, running


@pytest.mark.parametrize("name", ["", "Db", "a b", "a/b", "é"])
def test_name_that_cannot_be_part_of_a_path_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="check name"):
        Check(name, Dependency().check)


def test_impact_pass_is_rejected() -> None:
    with pytest.raises(ValueError, match="check db: impact must be 'fail' or 'warn'"):
        Check("db", Dependency().check, impact=Status.PASS)


class Synchronous:
    def method(self, seconds: float = 0) -> None: ...

    @staticmethod
    def static_method() -> None: ...


def function(seconds: float = 0) -> None: ...


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
def test_synchronous_function_is_rejected_with_the_remedy(
    synchronous: Callable[[], Awaitable[None]],
) -> None:
    with pytest.raises(TypeError, match="check db: define its function with 'async def'"):
        Check("db", synchronous)


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
