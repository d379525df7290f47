"""Makes the attempts of one check, bounded in time, and at most one at a time."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from functools import partial

from .check import Check, CheckFailed, CheckResult, Status
from .rules import GIVE_UP_AFTER, MAX_GIVEN_UP
from .tasks import abandon, result_within, run_in_thread, waits_for_thread

log = logging.getLogger(__name__)


class Attempts:
    """Abandons an attempt after its timeout, and makes no other one until it has ended.

    Instead, the next attempt waits for it, and times out too if it does not end. Some never end.
    Those are given up, so that they do not blind the check, unless there are already
    `MAX_GIVEN_UP`. One that waits for a thread is never given up: threads would pile up.

    timeout: seconds that an attempt may take. clock: returns monotonic seconds.
    """

    def __init__(self, check: Check, timeout: float, clock: Callable[[], float]) -> None:
        self._check = check
        self._timeout = timeout
        self._clock = clock
        self._abandoned: asyncio.Task[CheckResult] | None = None
        self._abandoned_at = 0.0
        self._given_up: set[asyncio.Task[CheckResult]] = set()

    @property
    def stuck(self) -> bool:
        """Whether no other attempt is made, because earlier ones do not end."""
        if self._abandoned is not None and waits_for_thread(self._abandoned):
            return self._clock() - self._abandoned_at >= MAX_GIVEN_UP * GIVE_UP_AFTER
        return len(self._given_up) >= MAX_GIVEN_UP

    def enter_loop(self) -> None:
        """Forget attempts in an event loop that has ended: they never end."""
        loop = asyncio.get_running_loop()
        self._given_up = {each for each in self._given_up if each.get_loop() is loop}
        if self._abandoned and self._abandoned.get_loop() is not loop:
            self._abandoned = None

    async def make(self) -> CheckResult:
        """Return the result of one attempt. Raises TimeoutError, or what the check raises."""
        if self._abandoned is not None:
            await asyncio.wait({self._abandoned}, timeout=self._timeout)
            if not self._abandoned.done():
                abandon(self._abandoned)  # its thread may have ended
                recent = self._clock() - self._abandoned_at < GIVE_UP_AFTER
                if recent or self.stuck or waits_for_thread(self._abandoned):
                    raise TimeoutError
                message = "health check does not end; trying again"
                log.error(message, extra={"check": self._check.name})
                self._given_up.add(self._abandoned)
                self._abandoned.add_done_callback(self._given_up.discard)
            self._abandoned = None
        attempt = _start(self._check)
        try:
            return await result_within(self._timeout, attempt)
        finally:
            # One that has ended is not kept: it refers to the frames of its exception.
            self._abandoned = None if attempt.done() else attempt
            self._abandoned_at = self._clock()


async def run_once(check: Check) -> CheckResult:
    """Return the result of one attempt, without a timeout, for tests. Raises what the check raises.

    A result with the status `fail` is raised as CheckFailed.
    """
    return await _start(check)


def _start(check: Check) -> asyncio.Task[CheckResult]:
    return asyncio.create_task(_run(check), name=f"health check {check.name}")


async def _run(check: Check) -> CheckResult:
    """Run a check so that no exception of it can end the monitor or the process."""
    try:
        if is_blocking(check.run):
            returned = await run_in_thread(check.run, f"health check {check.name}")
        else:
            returned = check.run()
        result = await returned if inspect.isawaitable(returned) else returned
    except (Exception, GeneratorExit):  # GeneratorExit: the event loop has ended
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # abandoned
        raise CheckFailed(f"the check raised {type(error).__name__}") from error
    if result is None:
        return CheckResult()
    if not isinstance(result, CheckResult):
        kind = type(result).__name__
        raise CheckFailed(f"the check returned {kind}: return None or a CheckResult")
    if result.status is Status.FAIL:
        raise CheckFailed(result.detail, **result.data)
    return result


def is_blocking(run: Callable[..., object]) -> bool:
    """Tell whether a callable is surely a synchronous function or method.

    A lambda, or an object with `__call__`, is not: it can return an awaitable.
    """
    while isinstance(run, partial):
        run = run.func
    # A decorator of either kind can wrap a function of the other kind.
    outermost = getattr(run, "__func__", run)
    function = inspect.unwrap(outermost, stop=inspect.iscoroutinefunction)
    is_def = inspect.isfunction(function) and function.__name__ != "<lambda>"
    return is_def and not inspect.iscoroutinefunction(function)
