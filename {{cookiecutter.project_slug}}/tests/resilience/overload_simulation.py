"""Simulate an overloaded service, and compare concurrency limits on the same load.

    python -m tests.resilience.overload_simulation

One CPU serves a queue of work, as an event loop does. Each request needs CPU time, then waits for
one of the workers of a dependency, then needs CPU time again. A rejection needs CPU time too.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from reference_service.resilience import AdaptiveLimit

OBJECTIVE = 0.2
CPU_SECONDS, REJECTION_SECONDS = 350e-6, 30e-6
CAPACITY = 1 / CPU_SECONDS
CONNECTIONS = 3000
SLOW = "slow"
"""The route that waits for five seconds, and not for a worker."""

Arrival = tuple[float, str]


class Limit(Protocol):
    """What the simulation asks of a limit."""

    value: float
    in_flight: int

    def admits(self, now: float) -> bool: ...
    def observe(self, route: object, arrived: float, now: float) -> None: ...


@dataclass
class Request:
    """One request, and what became of it."""

    sent: float
    route: str
    started: float = 0.0
    ended: float = 0.0
    accepted: bool = False

    @property
    def seconds(self) -> float:
        return self.ended - self.sent


class Simulation:
    """Run one load against one limit.

    workers: how many requests the dependency serves at once. service_seconds: how long it takes for
    each on average, by the time. exponential: whether that varies as waiting times do, and not by
    30 %. Requests beyond `CONNECTIONS` are not sent.
    """

    def __init__(
        self,
        limit: Limit,
        *,
        workers: int = 15,
        service_seconds: Callable[[float], float] = lambda _: 0.001,
        exponential: bool = False,
    ) -> None:
        self.limit = limit
        self._exponential = exponential
        self.requests: list[Request] = []
        self._service_seconds = service_seconds
        self._idle_workers = workers
        self._waiting: deque[Request] = deque()
        self._cpu_queue: deque[tuple[Callable[[float, Request], float], Request]] = deque()
        self._cpu_busy = False
        self._outstanding = 0
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._random = random.Random(1)

    def run(self, arrivals: Iterable[Arrival]) -> list[Request]:
        """Send the requests, wait for all answers, and return the requests."""
        remaining = iter(arrivals)
        self._expect_arrival(remaining)
        while self._events:
            now, _, happen = heapq.heappop(self._events)
            happen(now)
        return self.requests

    def _at(self, time: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (time, next(self._order), happen))

    def _expect_arrival(self, remaining: Iterator[Arrival]) -> None:
        if (arrival := next(remaining, None)) is not None:
            self._at(arrival[0], lambda now: self._arrive(now, arrival[1], remaining))

    def _arrive(self, now: float, route: str, remaining: Iterator[Arrival]) -> None:
        self._expect_arrival(remaining)
        if self._outstanding < CONNECTIONS:
            self._outstanding += 1
            self._use_cpu(now, self._start, Request(now, route))

    def _use_cpu(
        self, now: float, work: Callable[[float, Request], float], request: Request
    ) -> None:
        self._cpu_queue.append((work, request))
        if not self._cpu_busy:
            self._next_work(now)

    def _next_work(self, now: float) -> None:
        self._cpu_busy = bool(self._cpu_queue)
        if self._cpu_busy:
            work, request = self._cpu_queue.popleft()
            self._at(now + work(now, request), self._next_work)

    def _start(self, now: float, request: Request) -> float:
        """Admit or reject a request, and return the CPU time of that."""
        if not self.limit.admits(now):
            self._at(now + REJECTION_SECONDS, lambda at: self._answer(at, request))
            return REJECTION_SECONDS
        self.limit.in_flight += 1
        request.accepted, request.started = True, now
        seconds = self._vary(CPU_SECONDS / 2)
        self._at(now + seconds, lambda at: self._wait(at, request))
        return seconds

    def _wait(self, now: float, request: Request) -> None:
        if request.route == SLOW:
            self._at(now + 5, lambda at: self._use_cpu(at, self._finish, request))
        elif self._idle_workers:
            self._idle_workers -= 1
            self._serve(now, request)
        else:
            self._waiting.append(request)

    def _serve(self, now: float, request: Request) -> None:
        mean = self._service_seconds(now)
        seconds = self._random.expovariate(1 / mean) if self._exponential else self._vary(mean)
        self._at(now + seconds, lambda at: self._served(at, request))

    def _served(self, now: float, request: Request) -> None:
        if self._waiting:
            self._serve(now, self._waiting.popleft())
        else:
            self._idle_workers += 1
        self._use_cpu(now, self._finish, request)

    def _finish(self, now: float, request: Request) -> float:
        seconds = self._vary(CPU_SECONDS / 2)
        self._at(now + seconds, lambda at: self._answer(at, request))
        return seconds

    def _answer(self, now: float, request: Request) -> None:
        self._outstanding -= 1
        request.ended = now
        self.requests.append(request)
        if request.accepted:
            self.limit.in_flight -= 1
            self.limit.observe(request.route, request.started, now)

    def _vary(self, seconds: float) -> float:
        return seconds * self._random.uniform(0.7, 1.3)


def poisson(rate: float, start: float, end: float, route: str = "items") -> Iterator[Arrival]:
    """Yield independent requests at a mean rate."""
    numbers = random.Random(f"{rate} {route}")
    time = start + numbers.expovariate(rate)
    while time < end:
        yield time, route
        time += numbers.expovariate(rate)


def burst(count: int, time: float) -> list[Arrival]:
    """Return requests that arrive at the same time."""
    return [(time, "items")] * count


def in_order(*loads: Iterable[Arrival]) -> Iterator[Arrival]:
    """Yield the requests of several loads in the order of time."""
    return heapq.merge(*loads)


def percentile_99(seconds: Iterable[float]) -> float:
    """Return the 99th percentile, or 0 without values."""
    ordered = sorted(seconds)
    return ordered[int(0.99 * len(ordered))] if ordered else 0.0


class Fixed:
    """Always the same limit."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.in_flight = 0

    def admits(self, now: float) -> bool:
        del now
        return self.in_flight < self.value

    def observe(self, route: object, arrived: float, now: float) -> None:
        pass


class Windowed(Fixed):
    """A limit that is changed every 100 ms by the latencies of that time."""

    def __init__(self) -> None:
        super().__init__(20.0)
        self.start, self.peak = 0.0, 0
        self.seconds: list[float] = []

    def admits(self, now: float) -> bool:
        self.peak = max(self.peak, self.in_flight + 1)
        return super().admits(now)

    def observe(self, route: object, arrived: float, now: float) -> None:
        del route
        self.seconds.append(now - arrived)
        if now - self.start >= 0.1 and len(self.seconds) >= 10:
            self.adjust()
            self.start, self.peak, self.seconds = now, 0, []

    def adjust(self) -> None:
        """Set the limit."""


class Gradient(Windowed):
    """Shrink by the ratio of the long-term latency to the latency now."""

    long_term = 0.0

    def adjust(self) -> None:
        mean = sum(self.seconds) / len(self.seconds)
        self.long_term = self.long_term + (mean - self.long_term) / 300 if self.long_term else mean
        if self.long_term > 2 * mean:
            self.long_term *= 0.95
        if self.peak >= self.value / 2:
            gradient = max(0.5, min(1.0, 1.5 * self.long_term / mean))
            target = self.value * gradient + self.value**0.5
            self.value = max(5.0, 0.8 * self.value + 0.2 * target)


class QueueEstimate(Windowed):
    """Estimate the queue from the fastest request, and keep a few requests in it."""

    fastest = float("inf")

    def adjust(self) -> None:
        self.fastest = min(self.fastest, *self.seconds)
        queued = self.value * (1 - self.fastest / min(self.seconds))
        if self.peak >= self.value / 2:
            self.value = max(5.0, self.value + (6 if queued < 6 else -2 if queued > 12 else 0))


class Delay(Fixed):
    """Reject all while even the fastest request of the last 100 ms is late."""

    def __init__(self) -> None:
        super().__init__(5000)
        self.start, self.fastest, self.overloaded = 0.0, float("inf"), False

    def admits(self, now: float) -> bool:
        if now - self.start > 0.1:
            self.overloaded = OBJECTIVE / 4 < self.fastest < float("inf")
            self.start, self.fastest = now, float("inf")
        return self.in_flight < 5 or not self.overloaded

    def observe(self, route: object, arrived: float, now: float) -> None:
        del route
        self.fastest = min(self.fastest, now - arrived)


CANDIDATES: dict[str, Callable[[], Limit]] = {
    "fixed 30": lambda: Fixed(30),
    "fixed 5000": lambda: Fixed(5000),
    "gradient": Gradient,
    "queue estimate": QueueEstimate,
    "delay": Delay,
    "adaptive": lambda: AdaptiveLimit(OBJECTIVE),
}


@dataclass(frozen=True)
class Scenario:
    """A load, and the requests per second of it that can be answered."""

    load: Callable[[], Iterable[Arrival]]
    possible: float
    seconds: float = 10.0
    workers: int = 15
    service_seconds: Callable[[float], float] = lambda _: 0.001
    exponential: bool = False

    def run(self, limit: Limit) -> list[Request]:
        """Run it, and return the requests."""
        simulation = Simulation(
            limit,
            workers=self.workers,
            service_seconds=self.service_seconds,
            exponential=self.exponential,
        )
        return simulation.run(self.load())


def slow_database(now: float) -> float:
    """Return the seconds that a slow database takes."""
    return 0.05


SLOW_CAPACITY = 15 / 0.05

SCENARIOS = {
    "0.7 x": Scenario(lambda: poisson(0.7 * CAPACITY, 0, 10), 0.7 * CAPACITY),
    "2 x": Scenario(lambda: poisson(2 * CAPACITY, 0, 10), CAPACITY),
    "5 x": Scenario(lambda: poisson(5 * CAPACITY, 0, 10), CAPACITY),
    "slow database, 0.7 x": Scenario(
        lambda: poisson(0.7 * SLOW_CAPACITY, 0, 10),
        0.7 * SLOW_CAPACITY,
        service_seconds=slow_database,
    ),
    "slow database whose time varies, 0.7 x": Scenario(
        lambda: poisson(0.7 * SLOW_CAPACITY, 0, 10),
        0.7 * SLOW_CAPACITY,
        service_seconds=slow_database,
        exponential=True,
    ),
    "slow database, 2 x": Scenario(
        lambda: poisson(2 * SLOW_CAPACITY, 0, 10), SLOW_CAPACITY, service_seconds=slow_database
    ),
    "slow database, 10 x": Scenario(
        lambda: poisson(10 * SLOW_CAPACITY, 0, 10), SLOW_CAPACITY, service_seconds=slow_database
    ),
    "40 threads, 2 x": Scenario(
        lambda: poisson(1600, 0, 10), 800, workers=40, service_seconds=slow_database
    ),
    "40 threads, 5 x": Scenario(
        lambda: poisson(4000, 0, 10), 800, workers=40, service_seconds=slow_database
    ),
    "database becomes slow, 0.7 x": Scenario(
        lambda: poisson(0.7 * SLOW_CAPACITY, 0, 20),
        0.7 * SLOW_CAPACITY,
        seconds=20,
        service_seconds=lambda now: 0.001 if now < 5 else 0.05,
    ),
    "200 at once, three times": Scenario(
        lambda: itertools.chain(burst(200, 1), burst(200, 4), burst(200, 7)), 60
    ),
    "50/s of a 5 s route beside 0.5 x": Scenario(
        lambda: in_order(poisson(0.5 * CAPACITY, 0, 10), poisson(50, 0, 10, SLOW)),
        0.5 * CAPACITY,
    ),
}


def main() -> None:
    """Run each candidate in each scenario."""
    for name, scenario in SCENARIOS.items():
        print(name)  # noqa: T201 - output for people
        for candidate, create in CANDIDATES.items():
            requests = [each for each in scenario.run(create()) if each.route != SLOW]
            accepted = [each.seconds for each in requests if each.accepted]
            in_time = sum(seconds <= 1 for seconds in accepted) / scenario.seconds
            print(  # noqa: T201
                f"  {candidate:15} {100 * in_time / scenario.possible:5.0f} % in 1 s"
                f" {1000 * percentile_99(accepted):6.0f} ms p99"
                f" {len(requests) - len(accepted):7} rejected"
            )


if __name__ == "__main__":
    main()
