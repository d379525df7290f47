"""Runs one check in the background and holds its state."""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from .check import AttemptContext, Check, CheckFailed, CheckResult, Status
from .load import Cadence
from .options import GIVE_UP_AFTER, HISTORY_SIZE, MAX_GIVEN_UP, MIN_RECHECK_INTERVAL, STALE_MARGIN
from .state import Attempt, CheckState, next_delay, next_state
from .tasks import result_within

log = logging.getLogger(__name__)


class Monitor:
    """Runs one check again and again, with at most one attempt in flight.

    after_attempt: called after each attempt with the monitor and its previous state.
    clock: returns monotonic seconds.
    attempt_context: entered for each attempt.
    """

    def __init__(
        self,
        check: Check,
        cadence: Cadence,
        after_attempt: "Callable[[Monitor, CheckState], None]",
        clock: Callable[[], float],
        attempt_context: AttemptContext,
    ) -> None:
        self.check = check
        self.name = check.name
        self.state = CheckState(since=clock(), error="Pending", detail="not checked yet")
        self.has_passed = False  # once, or only warned
        self.history: deque[Attempt] = deque(maxlen=HISTORY_SIZE)  # newest last
        self.timeout = check.timeout or cadence.options.timeout
        self._cadence = cadence
        self._after_attempt = after_attempt
        self._clock = clock
        self._attempt_context = attempt_context
        self._wake = asyncio.Event()
        self._run_now_request: tuple[AttemptContext, asyncio.Future[None]] | None = None
        self._abandoned: asyncio.Task[CheckResult] | None = None
        self._abandoned_at = 0.0
        self._given_up: set[asyncio.Task[CheckResult]] = set()

    def stale(self, now: float) -> bool:
        """Tell whether the result is overdue: the next attempt should have replaced it."""
        return now > self.state.expires_at

    @property
    def _interval(self) -> float:
        """Seconds between two attempts while the check passes. They change with the load."""
        return self.check.interval or self._cadence.interval

    @property
    def stuck(self) -> bool:
        """Whether so many attempts do not end that no other is made. Only a restart helps."""
        return len(self._given_up) >= MAX_GIVEN_UP

    def status(self, now: float) -> Status:
        """Return the effect of this check on readiness now. A stale result counts as a failure."""
        status = Status.FAIL if self.stale(now) else self.state.status
        return self.check.impact if status is Status.FAIL else status

    def recheck(self) -> None:
        """Bring the next attempt forward, to at most one per second."""
        self._wake.set()

    async def run_now(self, attempt_context: AttemptContext) -> None:
        """Make the next attempt at once, within `attempt_context`; return after it.

        Concurrent callers share one attempt and the context of the first. The rate is not limited:
        the caller must limit it.
        """
        if self._run_now_request is None:
            finished = asyncio.get_running_loop().create_future()
            self._run_now_request = attempt_context, finished
        self.recheck()
        await asyncio.shield(self._run_now_request[1])

    async def run(self) -> None:
        """Run the check until cancelled. Cancelling abandons the current attempt."""
        while True:
            started = self._clock()
            self._wake.clear()
            due = await self._attempt() + self._clock()
            while self._run_now_request is None and (seconds := due - self._clock()) > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(seconds, MIN_RECHECK_INTERVAL)):
                        await self._wake.wait()
                        self._wake.clear()
                        due = min(due, started + MIN_RECHECK_INTERVAL)
                due = min(due, self.state.checked_at + self._interval)  # the load may have fallen

    async def _attempt(self) -> float:
        """Make one attempt, update the state, and return the seconds until the next attempt."""
        started = self._clock()
        attempt_context, finished = self._run_now_request or (self._attempt_context, None)
        self._run_now_request = None
        outcome: CheckResult | Exception
        try:
            with attempt_context(self.check):
                outcome = await self._run_within_timeout()
        except Exception as error:
            # Drop the traceback: this frame refers to the error, and the reference cycle would
            # keep every object in the driver's frames alive.
            outcome = error.with_traceback(None)
        finally:
            if finished and not finished.done():
                finished.set_result(None)
        previous, now = self.state, self._clock()
        threshold = self.check.failure_threshold or self._cadence.failure_threshold
        if self.stale(now):
            threshold = 1  # a result that has expired is restored only by a pass
        state = next_state(self.check, previous, outcome, threshold)
        delay = next_delay(state, self._interval)
        self.state = replace(
            state,
            since=previous.since if state.status is previous.status else now,
            checked_at=now,
            duration=now - started,
            # No earlier for a check that runs more often: the event loop may have been blocked.
            expires_at=now + max(delay, self._cadence.interval) + 2 * self.timeout + STALE_MARGIN,
        )
        self.history.append(Attempt(now, now - started, passed=not state.consecutive_failures))
        self.has_passed |= not state.consecutive_failures
        self._log_change(previous, outcome)
        self._after_attempt(self, previous)
        # The checks of different replicas must not fall into step.
        jitter = 0.0 if state.consecutive_failures else self._cadence.options.jitter
        return delay * (1 - jitter * random.random())  # noqa: S311 - no secret

    async def _run_within_timeout(self) -> CheckResult:
        """Run the check, and abandon it after its timeout.

        Until an abandoned attempt has ended no second one starts: the next attempt waits for it
        instead, and times out too if it does not end. Some never end. Those are given up, so that
        they do not blind the check, unless there are already `MAX_GIVEN_UP`.
        """
        if self._abandoned is not None:
            await asyncio.wait({self._abandoned}, timeout=self.timeout)
            if not self._abandoned.done():
                if self.stuck or self._clock() - self._abandoned_at < GIVE_UP_AFTER:
                    raise TimeoutError
                log.error("health check does not end; trying again", extra={"check": self.name})
                self._given_up.add(self._abandoned)
                self._abandoned.add_done_callback(self._given_up.discard)
            self._abandoned = None
        task = asyncio.create_task(_run_check(self.check), name=f"health check {self.name}")
        try:
            return await result_within(self.timeout, task)
        finally:
            # A task that has ended is not kept: it refers to the frames of its exception.
            self._abandoned = None if task.done() else task
            self._abandoned_at = self._clock()

    def _log_change(self, previous: CheckState, outcome: CheckResult | Exception) -> None:
        """Log each new status or error once. Only the log has the message of an exception."""
        state = self.state
        new_error = state.status is Status.FAIL and state.error != previous.error
        if state.status is not previous.status or new_error:
            level = logging.INFO if state.status is Status.PASS else logging.WARNING
            reason = str(outcome) if state.error else state.detail
            parts = [f"health check {self.name}: {state.status}", state.error, reason]
            log.log(level, ": ".join(part for part in parts if part))


async def _run_check(check: Check) -> CheckResult:
    """Run a check so that no exception of it can end the monitor or the process."""
    try:
        result = await check.run() or CheckResult()
    except Exception:
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # abandoned
        raise CheckFailed(f"the check raised {type(error).__name__}") from error
    if result.status is Status.FAIL:
        raise CheckFailed(result.detail, **result.data)
    return result
