"""How often checks run and how many failures they are forgiven, as the load allows."""

from .options import Options


class Cadence:
    """The adaptive figures that all monitors share.

    score: the load in [0, 1]. calm: whether everything passes; only then may the interval stretch.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.score = 0.0
        self.calm = False

    @property
    def interval(self) -> float:
        """Seconds between two attempts of a passing check."""
        idle, full = self.options.interval, max(self.options.interval, self.options.max_interval)
        return idle + (full - idle) * self.score if self.calm else idle

    @property
    def threshold(self) -> int:
        """Failures in a row that turn a check to `fail`."""
        return self.options.threshold + int(2 * self.score)
