"""How busy this process is, as one score in [0, 1]."""

import os
import time
from collections import deque
from pathlib import Path

CPU_FULL = 0.9
"""Of the quota: the CPU use that scores full."""
P95_FULL = 2.0
"""Seconds to the first byte, 95th percentile of business requests, that score full."""
IN_FLIGHT_FULL = 5000
"""Business requests at once that score full."""


class Load:
    """What traffic tells, summed up when it is asked for its score.

    The process's CPU is measured against the cores that it may use, so that half of a quota of half
    a core counts as much as half a machine.
    """

    def __init__(self, cores: float | None = None) -> None:
        self.in_flight = 0
        self._durations: deque[float] = deque(maxlen=4096)
        self._cores = cores or available_cores()
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def observe(self, seconds: float) -> None:
        """Count a business request that took so long to its first byte."""
        self._durations.append(seconds)

    def score(self) -> float:
        """Return the load since the last call: 0 is idle, 1 is full."""
        cpu, wall = time.process_time(), time.monotonic()
        used = (cpu - self._cpu) / max(wall - self._wall, 1e-3) / self._cores
        self._cpu, self._wall = cpu, wall
        p95 = percentile_95(self._durations)
        self._durations.clear()
        return weigh(cpu=used, p95=p95, in_flight=self.in_flight)


def weigh(*, cpu: float, p95: float, in_flight: int) -> float:
    """Weigh CPU (as a share of the quota), latency (seconds) and concurrency, each clamped to 1."""
    return (
        0.4 * min(cpu / CPU_FULL, 1.0)
        + 0.4 * min(p95 / P95_FULL, 1.0)
        + 0.2 * min(in_flight / IN_FLIGHT_FULL, 1.0)
    )


def percentile_95(values: deque[float]) -> float:
    """Return the nearest-rank 95th percentile, 0 of nothing."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * 95 // 100) - 1] if ordered else 0.0


def available_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> float:
    """Return the cores this process may use: the container's quota, else the machine's.

    The quota is read from cgroup v2's `cpu.max` ("max 100000" or "50000 100000", in microseconds).
    """
    machine = float(os.cpu_count() or 1)
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return min(int(quota) / int(period), machine)
    except (OSError, ValueError):
        return machine
