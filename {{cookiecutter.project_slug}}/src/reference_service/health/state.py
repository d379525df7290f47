"""What is known of a check, and how an attempt changes it. Rules only: no clock, no tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .check import Check, CheckFailed, CheckResult, Status
from .options import INITIAL_RETRY_DELAY, MAX_RETRY_DELAY


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a check, as the history keeps it. Times are seconds of the engine's clock."""

    ended_at: float
    duration: float
    passed: bool


@dataclass(frozen=True, slots=True)
class CheckState:
    """The state of a check after its latest attempt. Times are seconds of the engine's clock."""

    status: Status = Status.FAIL
    attempts: int = 0
    consecutive_failures: int = 0
    error: str | None = None  # the name of the exception type, if the latest attempt failed
    timed_out: bool = False
    permanent: bool = False
    detail: str = ""
    data: Mapping[str, object] = field(default_factory=dict)
    since: float = 0.0  # when the check last changed its status
    checked_at: float = 0.0  # when the latest attempt ended
    duration: float = 0.0  # seconds that the latest attempt took
    expires_at: float = float("inf")  # when the result becomes stale


def next_state(
    check: Check, previous: CheckState, outcome: CheckResult | Exception, threshold: int
) -> CheckState:
    """Return the state after an attempt with this outcome, without its times.

    One pass restores the check. `threshold` consecutive failures, or one permanent failure, make it
    fail. Until then it keeps its status.
    """
    attempts = previous.attempts + 1
    if isinstance(outcome, CheckResult):
        return CheckState(outcome.status, attempts, detail=outcome.detail, data=outcome.data)
    failures = previous.consecutive_failures + 1
    # Of any other exception only the type is kept: its message can hold secrets.
    reported = outcome if isinstance(outcome, CheckFailed) else CheckFailed("")
    permanent = reported.permanent or isinstance(outcome, check.permanent)
    return CheckState(
        Status.FAIL if permanent or failures >= threshold else previous.status,
        attempts,
        failures,
        error=type(outcome).__name__,
        timed_out=isinstance(outcome, TimeoutError),
        permanent=permanent,
        detail=reported.detail,
        data=reported.data,
    )


def next_delay(state: CheckState, interval: float) -> float:
    """Return the seconds until the next attempt. This is the only retry policy of the engine.

    interval: seconds between attempts of a passing check under the current load.
    """
    if not state.consecutive_failures:
        return interval
    if state.status is Status.FAIL:
        return MAX_RETRY_DELAY
    return min(INITIAL_RETRY_DELAY * 2.0 ** (state.consecutive_failures - 1), MAX_RETRY_DELAY)
