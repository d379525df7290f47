"""The engine's figures: how often, how long, how many."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Durations are in seconds."""

    interval: float = 5.0
    """Between two attempts of a check while the service is idle."""
    max_interval: float = 60.0
    """The same under full load, while everything passes."""
    timeout: float = 0.5
    """What one attempt may take before it is abandoned."""
    failure_threshold: int = 3
    """Failures in a row that turn a check to `fail`; up to two more under load."""
    live_fails_on_shutdown: bool = False
    """Whether `live` answers 503 while draining, for platforms that expect it."""


INITIAL_RETRY_DELAY = 0.1
"""Back-off after a first transient failure. Each further failure doubles it, up to
`MAX_RETRY_DELAY`."""
MAX_RETRY_DELAY = 1.0
"""Between attempts of a check that has failed: what recovery has to wait for."""
MIN_RECHECK_INTERVAL = 1.0
"""Between attempts that evidence from traffic asks for: what a flood of errors can cost at most."""
STALE_MARGIN = 1.0
"""What a busy machine may be late before a verdict counts as stale."""
SUPERVISOR_TIMEOUT = 30.0
"""Silence of the supervisor after which only a restart mends."""
LOAD_PERIOD = 30.0
"""Between two readings of the load score."""
SUPERVISION_PERIOD = 1.0
"""Between two looks of the supervisor at its monitors."""
