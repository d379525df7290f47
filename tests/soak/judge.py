"""The checks at the end of a soak: memory, resources, unanswered requests, verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from .samples import Sample
from .schedule import Interval

MEMORY_GROWTH = 0.05
AFTER_FAULT = 10.0
"""Seconds after a fault in which it still explains a verdict."""
SAMPLE_DELAY = 1.0
"""Seconds by which a sample can be late."""
SHORT = 5.0
"""Seconds of a verdict that need no explanation: no alert fires so soon."""
SPARE = 3
"""Tasks, files and threads that may come and go at the moment of the count."""
MAX_DATABASE_CONNECTIONS = 15 + 2
"""The default size of the pool, and what the checks have beside it."""
MAX_REDIS_CONNECTIONS = 50 + 1
"""The size of the pool, and what the check has beside it."""


@dataclass(frozen=True)
class Counts:
    """What the idle service holds, before the load or after it.

    files: open files, without the connections of the pools, which stay open for the next burst.
    database, redis: those connections.
    """

    tasks: int
    files: int
    threads: int
    database: int
    redis: int

    def exceed(self, before: "Counts") -> bool:
        """Whether any count is higher than before, beyond the spare ones, or a pool too large."""
        return (
            self.tasks > before.tasks + SPARE
            or self.files > before.files + SPARE
            or self.threads > before.threads + SPARE
            or self.database > max(before.database, MAX_DATABASE_CONNECTIONS)
            or self.redis > max(before.redis, MAX_REDIS_CONNECTIONS)
        )


@dataclass(frozen=True)
class Check:
    """One check at the end, and what it saw."""

    name: str
    passed: bool
    detail: str


def check_memory(samples: Sequence[Sample]) -> Check:
    """Compare the heap in the last third with that in the first third, without the first tenth."""
    heap = [sample.heap for sample in samples[len(samples) // 10 :]]
    third = -(-len(heap) // 3)
    first, last = median(heap[:third]), median(heap[-third:])
    growth = last / first - 1
    detail = f"first third {first:.1f} MB, last third {last:.1f} MB: {100 * growth:+.1f} %"
    return Check("memory within 5 %", abs(growth) <= MEMORY_GROWTH, detail)


def check_counts(before: Counts, after: Counts) -> Check:
    """Compare the idle service after the load with the idle service before it."""
    pairs = [
        f"{name} {getattr(before, name)} → {getattr(after, name)}"
        for name in ("tasks", "files", "threads", "database", "redis")
    ]
    return Check("tasks, files and threads as before", not after.exceed(before), ", ".join(pairs))


def check_answers(sent: int, reasons: Sequence[str]) -> Check:
    """Require a response to each request of the load: no fault closes its connections."""
    kinds = ", ".join(f"{reasons.count(each)} x {each}" for each in sorted(set(reasons)))
    detail = f"{len(reasons)} of {sent} without one{': ' if kinds else ''}{kinds}"
    return Check("every request has a response", not reasons, detail)


def check_verdicts(samples: Sequence[Sample], faults: Sequence[Interval]) -> Check:
    """Require a fault for each verdict other than `pass` that lasts. Alerts are not evaluated."""
    failing = sum(sample.verdict != "pass" for sample in samples)
    runs = groupby(samples, lambda each: each.verdict != "pass" and not _explained(each.at, faults))
    unexplained = [list(run) for is_unexplained, run in runs if is_unexplained]
    lasting = [run for run in unexplained if run[-1].at - run[0].at >= SHORT]
    detail = f"{failing} of {len(samples)} samples do not pass, {len(lasting)} times unexplained"
    for first, *_, last in lasting[:5]:
        reason = ", ".join(first.failing)
        detail += f"; from {first.at:.0f} s to {last.at:.0f} s {first.verdict}: {reason}"
    return Check("a fault explains every verdict", not lasting, detail)


def _explained(at: float, faults: Sequence[Interval]) -> bool:
    return any(fault.started <= at <= fault.ended + AFTER_FAULT + SAMPLE_DELAY for fault in faults)
