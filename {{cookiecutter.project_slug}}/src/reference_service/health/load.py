"""How busy this process is, as one score from 0 to 1, and how often checks run for it."""

import time
from collections import deque
from pathlib import Path

from .options import Options

# What counts as full load:
FULL_CPU = 0.9  # CPU use, as a share of the cores that this process can use
FULL_P95 = 2.0  # seconds to the first byte, 95th percentile of requests
FULL_IN_FLIGHT = 5000  # concurrent requests


class Load:
    """Measures the load of this process from its CPU use and its requests. Probes do not count.

    cores: number of cores that this process can use. CPU use is relative to it: a process that
        uses 0.25 cores of a quota of 0.5 cores has a CPU use of 0.5.
    """

    def __init__(self, cores: float | None = None) -> None:
        self.in_flight = 0
        self.websockets = 0  # that are open; they cause load only by what they do
        self._durations: deque[float] = deque(maxlen=4096)
        self._cores = cores or available_cores()
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def observe(self, seconds: float) -> None:
        """Record the time to first byte of one request."""
        self._durations.append(seconds)

    def score(self) -> float:
        """Return the load since the last call, from 0 (idle) to 1 (full)."""
        cpu, wall = time.process_time(), time.monotonic()
        used = (cpu - self._cpu) / max(wall - self._wall, 1e-3) / self._cores
        self._cpu, self._wall = cpu, wall
        p95 = percentile_95(self._durations)
        self._durations.clear()
        return weighted_score(cpu=used, p95=p95, in_flight=self.in_flight)


def weighted_score(*, cpu: float, p95: float, in_flight: int) -> float:
    """Combine CPU (share of the quota), latency (seconds) and concurrency, each at most 1."""
    return (
        0.4 * min(cpu / FULL_CPU, 1.0)
        + 0.4 * min(p95 / FULL_P95, 1.0)
        + 0.2 * min(in_flight / FULL_IN_FLIGHT, 1.0)
    )


def percentile_95(values: deque[float]) -> float:
    """Return the nearest-rank 95th percentile; 0 if there are no values."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * 95 // 100) - 1] if ordered else 0.0


def available_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> float:
    """Return the cores that this process can use: the container's quota, but at most one.

    Python runs the code of one thread at a time, however many cores the machine has. The quota is
    read from cgroup v2's `cpu.max` ("max 100000" or "50000 100000", in microseconds).
    """
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return min(int(quota) / int(period), 1.0)
    except (OSError, ValueError):
        return 1.0


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
        """Consecutive failures that make a check fail. Load adds one from 0.5 on, two at 1."""
        return self.options.failure_threshold + int(2 * self.score)
