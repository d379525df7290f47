"""Learn how many requests in flight a service can answer in time."""

import math

MIN_LIMIT = 20  # fewer requests at once are no overload, however slow they are
WINDOW, MIN_ANSWERS = 0.1, 10  # seconds, and answers, between two adjustments
IDLE = 0.02  # seconds without requests that show that none is queued
LATE_SHARE = 0.1  # of the answers: a few slow requests do not show a queue
CUT = 0.9  # times what seems to be in flight without a queue: an estimate could confirm itself
BURST = 1.5  # times the objective: in that time a burst may be answered


class AdaptiveLimit:
    """Learns from latencies how many requests at once are answered within an objective.

    By Little's law, requests in flight = throughput * latency. So the limit is the throughput times
    the latency that is tolerated: half of the objective, or what the route takes without a
    queue and the same time again in a queue. If more are in flight, the limit is cut to those that
    a service without a queue has. When the queue has gone, the limit grows again, and the fastest
    request from then on shows what its route takes without a queue. Until the overload has ended, a
    third of the objective is tolerated: a shorter queue costs less CPU time and memory.

    objective: seconds in which requests are to be answered. start: the limit while nothing has been
        learned. All times are seconds of one monotonic clock.

    in_flight: set by the owner of the limit. rejecting: whether it rejected a request in the latest
        windows. rejected: how many so far.
    """

    def __init__(self, objective: float, start: float = 250, maximum: float = 5000) -> None:
        self.value = self._start = start
        self.in_flight = self.rejected = 0
        self.rejecting = self._reached = self._exceeded = False
        self._burst = start  # the limit while nothing is queued
        self._objective, self._maximum = objective, maximum
        self._queue_gone_at = -math.inf  # when the last cut had its effect; inf: not yet
        self._fastest: dict[object, float] = {}  # seconds by route, of requests since then
        self._fastest_before: dict[object, float] = {}
        self._last_answer = 0.0
        self._start_window(0.0)

    def _start_window(self, now: float) -> None:
        self._started, self._tolerated, self._unqueued = now, 0.0, 0.0
        self._arrivals, self._in_flight_sum, self._answers, self._late = 0, 0, 0, 0
        self.rejecting, self._reached = self._reached, False

    def admits(self, now: float) -> bool:
        """Return whether one more request may start."""
        if not self.in_flight and now - self._last_answer > IDLE:
            self._recover((now - self._last_answer) / WINDOW)
            self._last_answer = now
            self._start_window(now)
        if self.in_flight >= self.value:
            self.reject()
            return False
        if self._queue_gone_at == math.inf:
            self._queue_gone_at = now
            self._start_window(now)
        self._arrivals += 1
        self._in_flight_sum += self.in_flight
        return True

    def reject(self) -> None:
        """Record that a request is rejected."""
        self._arrivals += 1
        self._in_flight_sum += self.in_flight
        self.rejected += 1
        self.rejecting = self._reached = True

    def observe(self, route: object, arrived: float, now: float) -> None:
        """Record that a request is answered now."""
        seconds, self._last_answer = now - arrived, now
        fastest = self._fastest.get(route)
        if arrived >= self._queue_gone_at:
            if fastest is None or seconds < fastest:
                fastest = self._fastest[route] = seconds
        elif fastest is None:
            fastest = self._fastest_before.get(route, seconds)
        objective = self._objective
        tolerated = objective / (2 if self.value >= self._start else 3)
        if 2 * fastest > tolerated:  # the route takes long without a queue
            tolerated = max(tolerated, fastest + min(fastest, objective))
        self._tolerated += tolerated
        self._late += seconds > tolerated
        self._unqueued += max(objective / 10, fastest)
        self._answers += 1
        window = now - self._started
        if window >= WINDOW and self._answers >= MIN_ANSWERS and self._queue_gone_at < math.inf:
            self._adjust(window, self._answers / window)
            self._start_window(now)

    def _adjust(self, window: float, throughput: float) -> None:
        """Set the limit, after a window of some seconds."""
        in_flight = self._in_flight_sum / max(self._arrivals, 1)
        tolerated = self._tolerated / window
        too_many, exceeded = in_flight > tolerated, self._exceeded
        self._exceeded = too_many and self._late > LATE_SHARE * self._answers
        self._start = min(self._maximum, max(self._start, BURST * self._objective * throughput))
        if self._exceeded:
            if exceeded:
                self.value = max(MIN_LIMIT, min(self.value, CUT * self._unqueued / window))
                self._burst = min(self._start, max(tolerated, throughput * self._objective))
                self._fastest_before, self._fastest = self._fastest_before | self._fastest, {}
                self._queue_gone_at = math.inf
        elif self._reached and not too_many:
            growth = 1.1 if 2 * in_flight > tolerated else 1.5
            self.value = min(self._maximum, growth * self.value)
        elif not self._reached:
            self._recover(1)

    def _recover(self, windows: float) -> None:
        """Raise the limit, because it was not reached: it doubles in each window."""
        windows = min(windows, 100)
        self._burst = min(self._start, 1.02**windows * self._burst)
        self.value = max(self.value, min(self._burst, 2**windows * self.value))
