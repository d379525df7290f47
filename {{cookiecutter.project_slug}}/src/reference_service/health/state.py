"""What is known of a check, and how the next attempt changes it. No clock, no tasks: only rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .check import CheckFailed, CheckResult, Status
from .options import INITIAL_RETRY_DELAY, MAX_RETRY_DELAY


@dataclass(frozen=True, slots=True)
class CheckState:
    """The state of a check after its latest attempt. Times are seconds of the engine's clock."""

    status: Status = Status.FAIL
    attempts: int = 0
    failures: int = 0
    """In a row; 0 after a pass."""
    error: str | None = None
    """The type's name of the latest failure, if the latest attempt failed."""
    timed_out: bool = False
    permanent: bool = False
    detail: str = ""
    data: Mapping[str, object] = field(default_factory=dict)
    since: float = 0.0
    """When the status began."""
    checked_at: float = 0.0
    duration: float = 0.0
    """Seconds that the latest attempt took."""
    expires_at: float = float("inf")


def next_state(
    previous: CheckState, outcome: CheckResult | Exception, *, permanent: bool, threshold: int
) -> CheckState:
    """Return the verdict after an attempt that ended so, still without its times.

    A pass restores at once. A failure counts: `threshold` in a row turn the check to `fail`, a
    permanent one does so alone; until then the check keeps the status it had.
    """
    attempts = previous.attempts + 1
    if isinstance(outcome, CheckResult):
        return CheckState(outcome.status, attempts, detail=outcome.detail, data=outcome.data)
    failures = previous.failures + 1
    verdict = CheckState(
        Status.FAIL if permanent or failures >= threshold else previous.status,
        attempts,
        failures,
        error=type(outcome).__name__,
        timed_out=isinstance(outcome, TimeoutError),
        permanent=permanent,
    )
    if isinstance(outcome, CheckFailed):
        return replace(verdict, detail=outcome.detail, data=outcome.data)
    return verdict


def next_attempt_in(verdict: CheckState, *, interval: float, base_interval: float) -> float:
    """Return the seconds to wait after this verdict: the one retry policy of the service.

    interval: the cadence while all is well; base_interval: the same without load.
    """
    if not verdict.failures:
        return interval
    if verdict.permanent:
        return base_interval
    if verdict.status is Status.FAIL:
        return MAX_RETRY_DELAY
    return min(INITIAL_RETRY_DELAY * 2.0 ** (verdict.failures - 1), MAX_RETRY_DELAY)
