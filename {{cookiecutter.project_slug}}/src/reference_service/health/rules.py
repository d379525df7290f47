"""When a check runs, and when it fails: the rules, without a clock or tasks. All in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .check import Check, CheckFailed, CheckResult, Status

INITIAL_RETRY_DELAY = 0.1  # after a transient failure; each further failure doubles it
MAX_RETRY_DELAY = 1.0  # between attempts of a failed check: bounds how late a recovery is seen
MIN_RECHECK_INTERVAL = 1.0  # between attempts that `recheck()` requests: bounds a flood of errors
GIVE_UP_AFTER = 30.0  # an abandoned attempt that still runs then no longer delays the next one
MAX_GIVEN_UP = 3  # attempts of one check that run on; with as many, `live` fails
STALE_MARGIN = 1.0  # how late a busy machine may be before a result is stale
SUPERVISOR_TIMEOUT = 30.0  # without a heartbeat for so long `live` fails: only a restart helps
SUPERVISION_PERIOD = 0.25  # between two heartbeats of the supervisor
HISTORY_SIZE = 60  # attempts kept: five minutes of an idle check, one minute of a failed one


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The settings that all checks share. Durations are in seconds."""

    interval: float = 5.0  # between two attempts of a check while the service is idle
    max_interval: float = 60.0  # the same under full load, while every check passes
    timeout: float = 0.5  # after which an attempt is abandoned
    failure_threshold: int = 3  # consecutive failures that fail a check; up to two more under load
    jitter: float = 0.1  # largest share by which an interval is shortened at random
    start_delay: float = 0.0  # the first attempt is made at a random time within so many seconds
    startup_needs_checks: bool = False  # `startup` waits until each check with impact `fail` passed
    live_fails_on_shutdown: bool = False  # for platforms that expect `live` to be 503 then


@dataclass(slots=True)
class Cadence:
    """The interval and the failure threshold that all monitors share.

    score: the load, from 0 (idle) to 1 (full). What measures it sets it.
    all_passing: whether every check passes. Otherwise the interval stays short.
    """

    options: Options
    score: float = 0.0
    all_passing: bool = False

    @property
    def interval(self) -> float:
        """Seconds between two attempts of a passing check."""
        idle, full = self.options.interval, max(self.options.interval, self.options.max_interval)
        return idle + (full - idle) * self.score if self.all_passing else idle

    @property
    def failure_threshold(self) -> int:
        """Consecutive failures that make a check fail. Load adds one from 0.5 on, two at 1."""
        return self.options.failure_threshold + int(2 * self.score)


@dataclass(frozen=True, slots=True)
class CheckState:
    """The state of a check after its latest attempt. Times are seconds of the engine's clock."""

    status: Status = Status.FAIL
    attempts: int = 0
    consecutive_failures: int = 0
    error: str | None = None  # the name of the exception type, if the latest attempt failed
    timed_out: bool = False
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
