"""The settings and the constants of the engine. Durations are in seconds."""

from dataclasses import dataclass


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


INITIAL_RETRY_DELAY = 0.1  # after a transient failure; each further failure doubles it
MAX_RETRY_DELAY = 1.0  # between attempts of a failed check: bounds how late a recovery is seen
MIN_RECHECK_INTERVAL = 1.0  # between attempts that `recheck()` requests: bounds a flood of errors
GIVE_UP_AFTER = 30.0  # an abandoned attempt that still runs then no longer delays the next one
MAX_GIVEN_UP = 3  # attempts of one check that run on; with as many, `live` fails
STALE_MARGIN = 1.0  # how late a busy machine may be before a result is stale
SUPERVISOR_TIMEOUT = 30.0  # without a heartbeat for so long `live` fails: only a restart helps
LOAD_PERIOD = 5.0  # between two readings of the load score
SUPERVISION_PERIOD = 0.25  # between two heartbeats of the supervisor
HISTORY_SIZE = 60  # attempts kept: five minutes of an idle check, one minute of a failed one
