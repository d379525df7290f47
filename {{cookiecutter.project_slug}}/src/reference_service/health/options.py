"""The settings and the constants of the engine. Durations are in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The settings that all checks share. Durations are in seconds."""

    interval: float = 5.0
    """Time between two attempts of a check while the service is idle."""
    max_interval: float = 60.0
    """Time between two attempts under full load, while every check passes."""
    timeout: float = 0.5
    """Time after which an attempt is abandoned."""
    failure_threshold: int = 3
    """Consecutive failures that make a check fail; up to two more under load."""
    live_fails_on_shutdown: bool = False
    """Whether `live` answers 503 while draining, for platforms that expect it."""


INITIAL_RETRY_DELAY = 0.1
"""Delay after a transient failure. Each further failure doubles it, up to `MAX_RETRY_DELAY`."""
MAX_RETRY_DELAY = 1.0
"""Delay between attempts of a check that has failed. It bounds how late a recovery is seen."""
MIN_RECHECK_INTERVAL = 1.0
"""Time between attempts that `recheck()` requests. It bounds the cost of a flood of errors."""
STALE_MARGIN = 1.0
"""How late a busy machine may be before a result is stale."""
SUPERVISOR_TIMEOUT = 30.0
"""Time without a heartbeat of the supervisor after which `live` fails: only a restart helps."""
LOAD_PERIOD = 30.0
"""Time between two readings of the load score."""
SUPERVISION_PERIOD = 1.0
"""Time between two heartbeats of the supervisor, which restarts monitors that have stopped."""
HISTORY_SIZE = 60
"""Attempts kept for each check: five minutes of an idle one, one minute of a failed one."""
