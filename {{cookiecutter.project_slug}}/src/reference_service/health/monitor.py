"""Runs one check in the background and holds its state."""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from . import rules
from .attempts import Attempts
from .check import AttemptContext, Check, CheckResult, Status
from .rules import Cadence, CheckState, next_delay, next_state

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
        self.timeout = check.timeout or cadence.options.timeout
        self.history: deque[CheckState] = deque(maxlen=rules.HISTORY_SIZE)  # newest last
        self._grace = 2 * self.timeout + rules.STALE_MARGIN  # from due to stale
        self._cadence = cadence
        self._after_attempt = after_attempt
        self._clock = clock
        self._attempt_context = attempt_context
        self._attempts = Attempts(check, self.timeout, clock)
        self._requested: tuple[AttemptContext, asyncio.Event] | None = None  # by `run_now`
        self._wake = asyncio.Event()
        self.reset()

    def reset(self, status: Status = Status.FAIL) -> None:
        """Forget every result. Until the first attempt has ended, the check has this status."""
        now = self._clock()
        expires_at = now + self._cadence.options.start_delay + self._grace
        pending = CheckState(status, error="Pending", detail="not checked yet", since=now)
        self.state = replace(pending, expires_at=expires_at)
        self.has_passed = False  # once, or only warned
        self.history.clear()

    def stale(self, now: float) -> bool:
        """Tell whether the result is overdue: the next attempt should have replaced it."""
        return now > self.state.expires_at

    @property
    def _interval(self) -> float:
        """Seconds between two attempts while the check passes. They change with the load."""
        return self.check.interval or self._cadence.interval

    @property
    def stuck(self) -> bool:
        """Whether no other attempt is made, because earlier ones do not end."""
        return self._attempts.stuck

    def delays_startup(self) -> bool:
        """Tell whether `startup` waits for this check."""
        if not self.check.startup:
            return False
        if self._cadence.options.startup_needs_checks and self.check.impact is Status.FAIL:
            return not self.has_passed
        return not self.state.attempts

    def needs_restart(self) -> bool:
        """Tell whether only a new process can help."""
        failed = self.state.attempts > 0 and self.state.status is Status.FAIL
        return self.stuck or (self.check.liveness and failed)

    def status(self, now: float) -> Status:
        """Return the effect of this check on readiness now. A stale result counts as a failure."""
        status = Status.FAIL if self.stale(now) else self.state.status
        return self.check.impact if status is Status.FAIL else status

    def recheck(self) -> None:
        """Bring the next attempt forward, to at most one per second, or fewer if they are slow."""
        self._wake.set()

    async def run_now(self, attempt_context: AttemptContext) -> None:
        """Make the next attempt at once, within `attempt_context`; return after it.

        Concurrent callers share one attempt and the context of the first. They must limit the rate.
        """
        self._requested = self._requested or (attempt_context, asyncio.Event())
        self.recheck()
        await self._requested[1].wait()

    async def run(self) -> None:
        """Run the check until cancelled. Cancelling abandons the current attempt."""
        self._wake = asyncio.Event()  # an event belongs to the loop that first waits for it
        self._attempts.enter_loop()
        await asyncio.sleep(random.uniform(0, self._cadence.options.start_delay))  # noqa: S311
        while True:
            started = self._clock()
            self._wake.clear()
            due = await self._attempt()
            await self._wait(started, due)

    def cancel_run_now(self) -> None:
        """Let `run_now` return, because no attempt will be made."""
        if self._requested:
            self._requested[1].set()
        self._requested = None

    async def _wait(self, started: float, due: float) -> None:
        """Wait until the next attempt is due. Rechecks, and a lower load, bring it forward.

        Rechecks leave a slow check, and what it asks, at least half of the time to rest.
        """
        earliest = started + max(rules.MIN_RECHECK_INTERVAL, 2 * self.state.duration)
        while self._requested is None and (seconds := due - self._clock()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(seconds, rules.MIN_RECHECK_INTERVAL)):
                    await self._wake.wait()
                    self._wake.clear()
                    due = min(due, earliest)
            due = min(due, self.state.checked_at + self._interval)  # the load may have fallen

    async def _attempt(self) -> float:
        """Make one attempt, update the state, and return when the next attempt is due."""
        started = self._clock()
        attempt_context, finished = self._requested or (self._attempt_context, asyncio.Event())
        self._requested = None
        outcome: CheckResult | Exception
        try:
            with attempt_context(self.check):
                outcome = await self._attempts.make()
        except Exception as error:
            # Drop the traceback: this frame refers to the error, and the reference cycle would
            # keep every object in the driver's frames alive.
            outcome = error.with_traceback(None)
        finally:
            finished.set()
        # After SIGSTOP, or while the event loop is blocked, a result can be old when it is seen.
        ended = min(self._clock(), started + self.timeout)
        previous = self.state
        threshold = self.check.failure_threshold or self._cadence.failure_threshold
        if self.stale(self._clock()):
            threshold = 1  # a result that has expired is restored only by a pass
        state = next_state(self.check, previous, outcome, threshold)
        delay = next_delay(state, self._interval)
        self.state = replace(
            state,
            since=previous.since if state.status is previous.status else ended,
            checked_at=ended,
            duration=ended - started,
            # No earlier for a check that runs more often: the event loop may have been blocked.
            expires_at=ended + max(delay, self._cadence.interval) + self._grace,
        )
        self.history.append(self.state)
        self.has_passed |= not state.consecutive_failures
        self._log_change(previous, outcome)
        self._after_attempt(self, previous)
        # Replicas must not fall into step. Until a check has failed, its retries are on time.
        exact = state.consecutive_failures and state.status is not Status.FAIL
        return ended + delay * (1 - random.uniform(0, 0 if exact else self._cadence.options.jitter))  # noqa: S311

    def _log_change(self, previous: CheckState, outcome: CheckResult | Exception) -> None:
        """Log each new status or error once. Only the log has the message of an exception."""
        state = self.state
        new_error = state.status is Status.FAIL and state.error != previous.error
        if state.status is not previous.status or new_error:
            level = logging.INFO if state.status is Status.PASS else logging.WARNING
            reason = str(outcome) if state.error else state.detail
            parts = [f"health check {self.name}: {state.status}", state.error, reason]
            log.log(level, ": ".join(part for part in parts if part))
