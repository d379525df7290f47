"""A fake dependency, controlled by a test, that records the attempts of its check."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from reference_service.health import Check, CheckResult, Options, Registry

from .clock import now


class Dependency:
    """Passes until a test changes it.

    error, result: what the check raises, or returns.
    hangs: whether the check never returns.
    swallows_cancellation: whether a hanging check ends only after `released` is set.
    attempted_at: the time of each attempt.
    """

    def __init__(self) -> None:
        self.attempted_at: list[float] = []
        self.in_flight = self.max_in_flight = 0
        self.error: BaseException | None = None
        self.result: CheckResult | None = None
        self.hangs = False
        self.swallows_cancellation = False
        self.released = asyncio.Event()

    async def check(self) -> CheckResult | None:
        self.attempted_at.append(now())
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            if self.hangs:
                await self._hang()
            if self.error is not None:
                raise self.error
            return self.result
        finally:
            self.in_flight -= 1

    async def _hang(self) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if not self.swallows_cancellation:
                    raise
                await self.released.wait()
                return

    def intervals(self) -> list[float]:
        """Return the seconds between attempts."""
        pairs = zip(self.attempted_at, self.attempted_at[1:], strict=False)
        return [round(later - earlier, 3) for earlier, later in pairs]


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, on the loop of the caller."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(
    *checks: Check, options: Options | None = None, jitter: float = 0.0
) -> AsyncIterator[Registry]:
    """Run a registry of these checks on virtual time."""
    options = replace(options or Options(), jitter=jitter)
    registry = Registry(checks, options, clock=now)
    registry.started_up = True
    await registry.start()
    try:
        yield registry
    finally:
        await registry.stop()
