"""How often checks run and how many failures they are forgiven, as the load allows."""

from .options import Options


class Cadence:
    """The adaptive figures that all monitors share.

    score: the load in [0, 1].
    all_passing: whether every check passes; only then can the interval stretch.
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
        """Failures in a row that turn a check to `fail`."""
        return self.options.failure_threshold + int(2 * self.score)
