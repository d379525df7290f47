"""A check that a history controls, and what is known of its attempts."""

import asyncio
from collections.abc import Callable
from enum import Enum

from reference_service.health import Check, CheckFailed, CheckResult, PermanentFailure, Status


class Mode(Enum):
    """What an attempt does."""

    PASS = "passes"
    SLOW = "passes after 0.4 s"
    WARN = "returns a warning"
    FAIL = "raises CheckFailed"
    RETURN_FAILURE = "returns a failure"
    RAISE = "raises ConnectionError"
    PERMANENT = "raises PermanentFailure"
    EXIT = "raises SystemExit"
    CANCEL = "raises CancelledError"
    HANG = "hangs until it is cancelled"
    SWALLOW = "hangs, and swallows cancellations"
    CLEAN_UP = "hangs, and takes 3 s to clean up"


TIMEOUT = 0.5  # seconds
PASSING = {Mode.PASS, Mode.SLOW, Mode.WARN}
ERRORS: dict[Mode, Callable[[], BaseException]] = {
    Mode.FAIL: lambda: CheckFailed("it fails"),
    Mode.RAISE: ConnectionError,
    Mode.PERMANENT: lambda: PermanentFailure("it is missing"),
    Mode.EXIT: lambda: SystemExit(1),
    Mode.CANCEL: asyncio.CancelledError,
}


class FakeCheck:
    """Does what its mode says. Times are those of the event loop.

    started: when each attempt started that has not ended.
    passed_at: when the latest attempt passed in time.
    mode_since, added_at, released_at: when that happened last.
    hung_until: when the latest attempt ended that had taken too long.
    """

    def __init__(self, name: str, impact: Status) -> None:
        self.check = Check(name, self.run, impact, timeout=TIMEOUT)
        self.mode = Mode.PASS
        self.mode_since = self.added_at = self.released_at = self.hung_until = 0.0
        self.started: dict[object, float] = {}
        self.passed_at = -1.0
        self._released = asyncio.Event()

    def set_mode(self, mode: Mode, now: float) -> None:
        """Change what the next attempts do."""
        self.mode, self.mode_since = mode, now

    def release(self, now: float = 0.0) -> None:
        """End the attempts that swallow cancellations."""
        self.released_at = now
        self._released.set()
        self._released = asyncio.Event()

    async def run(self) -> CheckResult | None:
        """Make one attempt."""
        attempt, now = object(), asyncio.get_running_loop().time
        self.started[attempt] = now()
        try:
            result = await self._act(self.mode)
            failed = result is not None and result.status is Status.FAIL
            if not failed and now() - self.started[attempt] < TIMEOUT:
                self.passed_at = now()
            return result
        finally:
            if now() - self.started.pop(attempt) > TIMEOUT:
                self.hung_until = now()

    async def _act(self, mode: Mode) -> CheckResult | None:
        if error := ERRORS.get(mode):
            raise error()
        if mode is Mode.RETURN_FAILURE:
            return CheckResult(Status.FAIL, "it fails")
        if mode is Mode.SLOW:
            await asyncio.sleep(0.4)
        if mode in {Mode.HANG, Mode.SWALLOW, Mode.CLEAN_UP}:
            await self._hang(mode, self._released)
        return CheckResult(Status.WARN, "it warns") if mode is Mode.WARN else None

    async def _hang(self, mode: Mode, released: asyncio.Event) -> None:
        try:
            await asyncio.sleep(1e9)
        except asyncio.CancelledError:
            if mode is Mode.HANG:
                raise
            if mode is Mode.CLEAN_UP:
                await asyncio.sleep(3)
                raise
            while not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    continue
