"""How often checks run, and how many failures make one fail: both follow the load."""

from .options import Options


class Cadence:
    """The interval and the failure threshold that all monitors share.

    score: the load, from 0 (idle) to 1 (full).
    all_passing: whether every check passes. Otherwise the interval stays short.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.score = 0.0
        self.all_passing = False

    @property
    def interval(self) -> float:
        """Seconds between two attempts of a passing check."""
        idle, full = self.options.interval, max(self.options.interval, self.options.max_interval)
        return idle + (full - idle) * self.score if self.all_passing else idle

    @property
    def failure_threshold(self) -> int:
        """Consecutive failures after which a check has the status `fail`."""
        return self.options.failure_threshold + int(2 * self.score)
