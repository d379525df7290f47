"""The lag of a standby's replay, measured with one clock."""

import math

RESOLUTION = 0.01  # relative precision of the lag, so that a lag of days needs little memory


class Replay:
    """Measures for how many seconds a position has been known without being replayed.

    The lag is the age of the oldest position that the primary has reached and that is not replayed.
    So an idle primary causes no lag, and neither does a distance that is always replayed in time.

    now: seconds of a monotonic clock.
    known: the position from which the measurement starts. When the primary reached it is unknown.
    """

    def __init__(self, now: float, known: int) -> None:
        self._samples = [(now, known)]
        self._start_replayed = False

    def lag(self, now: float, known: int, replayed: int) -> float:
        """Return the lag in seconds. It is infinite until the first position is replayed."""
        while self._samples and self._samples[0][1] <= replayed:
            del self._samples[0]
            self._start_replayed = True
        if not self._samples:
            if known > replayed:
                self._samples.append((now, known))
            return 0.0
        lag = now - self._samples[0][0]
        since, newest = self._samples[-1]
        if known > newest and now - since >= lag * RESOLUTION:
            self._samples.append((now, known))
        elif known > newest:
            self._samples[-1] = (since, known)
        return lag if self._start_replayed else math.inf
