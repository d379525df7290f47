"""Runs one check in the background and holds its verdict."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from .cadence import Cadence
from .check import AttemptContext, Check, CheckFailed, CheckResult, Status
from .history import HISTORY_SIZE, Sample
from .options import MIN_RECHECK_INTERVAL, STALE_MARGIN
from .state import CheckState, next_attempt_in, next_state

log = logging.getLogger(__name__)


class Monitor:
    """Asks one dependency again and again, with at most one attempt in flight.

    on_state: called with the monitor and its previous verdict after each attempt.
    attempt_context: entered around each attempt.
    clock: monotonic seconds.
    """

    def __init__(
        self,
        check: Check,
        cadence: Cadence,
        on_state: "Callable[[Monitor, CheckState], None]",
        clock: Callable[[], float],
        attempt_context: AttemptContext,
    ) -> None:
        self.check = check
        self.name = check.name
        self.state = CheckState(since=clock(), error="Pending", detail="not checked yet")
        self.startup_satisfied = False
        """Whether it has passed once; for a check that only warns: been tried once."""
        self.history: deque[Sample] = deque(maxlen=HISTORY_SIZE)
        """The latest attempts, newest last."""
        self.timeout = check.timeout or cadence.options.timeout
        """Seconds that an attempt may take."""
        self._base_interval = check.interval or cadence.options.interval
        self._cadence = cadence
        self._on_state = on_state
        self._clock = clock
        self._attempt_context = attempt_context
        self._asked_for: tuple[AttemptContext, asyncio.Future[None]] | None = None
        self._abandoned: asyncio.Task[CheckResult] | None = None
        self._recheck_requested = asyncio.Event()

    def stale(self, now: float) -> bool:
        """Tell whether the verdict is older than its interval and an attempt may take."""
        return now > self.state.expires_at

    def status(self, now: float) -> Status:
        """Return what this check does to readiness now; a stale verdict counts as failed."""
        status = Status.FAIL if self.stale(now) else self.state.status
        return self.check.impact if status is Status.FAIL else status

    def recheck(self) -> None:
        """Check at once, at most once a second: something said that the verdict may be wrong."""
        self._recheck_requested.set()

    async def run_now(self, attempt_context: AttemptContext) -> None:
        """Have the next attempt, which comes at once, be made within `around`; return after it.

        How often is for the caller to limit. Who asks while another waits, shares its attempt.
        """
        if self._asked_for is None:
            self._asked_for = attempt_context, asyncio.get_running_loop().create_future()
        self.recheck()
        await asyncio.shield(self._asked_for[1])

    async def run(self) -> None:
        """Check for ever. Cancelling it abandons the attempt that is under way."""
        while True:
            started = self._clock()
            self._recheck_requested.clear()
            delay = await self.attempt()
            try:
                async with asyncio.timeout(delay):
                    await self._recheck_requested.wait()
            except TimeoutError:
                continue
            if self._asked_for is None:
                due = min(self._clock() + delay, started + MIN_RECHECK_INTERVAL)
                await asyncio.sleep(due - self._clock())

    async def attempt(self) -> float:
        """Ask once, settle the verdict, and return the seconds until the next attempt is due."""
        started = self._clock()
        asked_for, self._asked_for = self._asked_for, None
        outcome: CheckResult | Exception
        try:
            with asked_for[0](self.check) if asked_for else self._attempt_context(self.check):
                outcome = await self._ask()
        except Exception as error:
            # Without its frames: this one holds it, and so all that a driver left would stay.
            outcome = error.with_traceback(None)
        finally:
            if asked_for and not asked_for[1].done():
                asked_for[1].set_result(None)
        previous, now = self.state, self._clock()
        verdict = next_state(
            previous,
            outcome,
            permanent=self._is_permanent(outcome),
            threshold=self.check.failure_threshold or self._cadence.failure_threshold,
        )
        delay = next_attempt_in(
            verdict,
            interval=self.check.interval or self._cadence.interval,
            base_interval=self._base_interval,
        )
        self.state = replace(
            verdict,
            since=previous.since if verdict.status is previous.status else now,
            checked_at=now,
            duration=now - started,
            expires_at=now + delay + 2 * self.timeout + STALE_MARGIN,
        )
        self.history.append(Sample(now, now - started, ok=not verdict.failures))
        self.startup_satisfied |= self.status(now) is not Status.FAIL
        self._log(previous, outcome)
        self._on_state(self, previous)
        return delay

    async def _ask(self) -> CheckResult:
        """Run the check, bounded by abandonment: drivers swallow cancellation.

        When its time is over the attempt is cancelled and not waited for. While it winds down no
        second one starts: the next attempt waits for the orphan, and times out with it.
        """
        if self._abandoned is not None:
            await asyncio.wait({self._abandoned}, timeout=self.timeout)
            if not self._abandoned.done():
                raise TimeoutError
            self._abandoned = None
        task = asyncio.create_task(_call(self.check), name=f"health check {self.name}")
        try:
            await asyncio.wait({task}, timeout=self.timeout)
            if task.done():
                return task.result()
        finally:
            if not task.done():
                self._abandoned = task
                task.add_done_callback(_take_result)
                task.cancel()
        raise TimeoutError

    def _is_permanent(self, outcome: CheckResult | Exception) -> bool:
        if isinstance(outcome, CheckFailed):
            return outcome.permanent
        return isinstance(outcome, self.check.permanent)

    def _log(self, previous: CheckState, outcome: CheckResult | Exception) -> None:
        """Say each change once; the reason that no response shows goes here."""
        now = self.state
        other_fault = now.status is Status.FAIL and now.error != previous.error
        if now.status is not previous.status or other_fault:
            level = logging.INFO if now.status is Status.PASS else logging.WARNING
            said = str(outcome) if now.error else now.detail
            words = [f"health check {self.name}: {now.status}", now.error, said]
            log.log(level, ": ".join(word for word in words if word))


async def _call(check: Check) -> CheckResult:
    """Run a check so that it can end neither its monitor nor the process."""
    try:
        result = await check.run() or CheckResult()
    except Exception:
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # abandoned
        message = f"the check raised {type(error).__name__}"
        raise CheckFailed(message) from error
    if result.status is Status.FAIL:
        raise CheckFailed(result.detail, **result.data)
    return result


def _take_result(task: asyncio.Task[CheckResult]) -> None:
    """Look at an orphan's end, so that asyncio does not complain that nobody did."""
    if not task.cancelled():
        task.exception()
