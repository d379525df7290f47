"""What is measured each second: latency, responses, limit, memory, resources and the verdict."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import percentile
from bench.measured_process import send_request
from faults.environment import Environment

from .traffic import Traffic

LIMIT = re.compile(rb"^http_concurrency_limit(?:\{[^}]*\})? (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """One second. at: seconds from the start of the load. Latencies: milliseconds.

    verdict: `pass`, `warn`, `fail`, or `none` if the management port did not respond.
    failing: the lines of the checks that do not pass.
    """

    at: float
    p50: float
    p99: float
    codes: dict[int, int]
    unanswered: int
    client_delay: float
    limit: float | None
    heap: float
    threads: int
    files: int
    verdict: str
    failing: Sequence[str]


async def take_sample(env: Environment, traffic: Traffic, at: float) -> Sample:
    """Measure the second that has ended."""
    second = traffic.take_second()
    port, pid = env.service.management_port, env.service.pid
    code, body = await asyncio.to_thread(send_request, port, "/health/ready?verbose")
    _, metrics = await asyncio.to_thread(send_request, port, "/metrics")
    lines = body.decode(errors="replace").splitlines()
    failing = [line for line in lines if line.startswith("[") and not line.startswith("[+]")]
    limit = LIMIT.search(metrics)
    return Sample(
        at,
        1000 * percentile(second.latencies, 0.5),
        1000 * percentile(second.latencies, 0.99),
        dict(sorted(second.codes.items())),
        second.unanswered,
        1000 * second.worst_delay,
        float(limit[1]) if limit else None,
        heap_megabytes(pid),
        thread_count(pid),
        env.service.open_descriptors(),
        "none" if not code else "fail" if code != 200 else "warn" if failing else "pass",
        failing,
    )


def heap_megabytes(pid: int) -> float:
    """Return the memory without mapped files, as the benchmark measures it."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("smaps_rollup has no line Anonymous")


def thread_count(pid: int) -> int:
    """Return the number of threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
