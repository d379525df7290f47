"""Send 200 probes to an application while PostgreSQL is frozen, and count what it holds."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bench.measured_process import MeasuredProcess
from faults.probe_client import ProbeResponse, send_probe

from .counts import Counts, count
from .during_faults import PROBE_TIMEOUT, passes, write_item
from .libraries import Library
from .servers import Servers

RATE = 20.0
"""Probes per second: those of some load balancers, or of one that retries."""
WARM_UP = 5
"""Writes at the same time, which open the connections of the pool."""
SAMPLE_INTERVAL = 0.5
PROBE_CHANGE_TIMEOUT = 60.0


@dataclass(frozen=True)
class Flood:
    """What happened to the probes, to another route, and to the application.

    codes: how many probes got each code, or 0 without a response.
    slowest_probe, slowest_route: seconds. The route needs no dependency. None: it did not respond.
    before, highest, after: the counts. `after` is when each probe had its response or gave up.
    """

    codes: dict[int, int]
    slowest_probe: float
    slowest_route: float | None
    before: Counts
    highest: Counts
    after: Counts


async def flood(library: Library, process: MeasuredProcess, servers: Servers, probes: int) -> Flood:
    """Freeze PostgreSQL until the probe fails, send the probes, and resume it."""
    await warm_up(process.port)
    probe = Probe(process.port, library.probe)
    await probe.wait_until_passes()
    before = await count(process.pid, process.port)
    await asyncio.to_thread(servers.postgres.pause)
    try:
        await probe.wait_until_passes(expected=False)
        async with sampling(process) as samples:
            responses = await probe.send(probes)
        after = await count(process.pid, process.port)
    finally:
        await asyncio.to_thread(servers.postgres.resume)
    return Flood(
        dict(Counter(each.status_code for each in responses).most_common()),
        max(each.duration for each in responses),
        slowest(samples.routes),
        before,
        highest([before, *samples.counts, after]),
        after,
    )


async def warm_up(port: int) -> None:
    """Write some items at the same time."""
    await asyncio.gather(*(write_item(port) for _ in range(WARM_UP)))


@dataclass(frozen=True)
class Probe:
    """The probe of an application."""

    port: int
    path: str

    async def wait_until_passes(self, *, expected: bool = True) -> None:
        """Wait until it passes, or until it does not. Raises TimeoutError."""
        async with asyncio.timeout(PROBE_CHANGE_TIMEOUT):
            while passes(await send_probe(self.port, self.path, PROBE_TIMEOUT)) != expected:
                await asyncio.sleep(0.1)

    async def send(self, number: int) -> list[ProbeResponse]:
        """Send that many at a constant rate, whether earlier ones have a response or not."""
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for each in range(number):
                tasks.append(group.create_task(send_probe(self.port, self.path, PROBE_TIMEOUT)))
                await asyncio.sleep(max(0.0, started + (each + 1) / RATE - time.monotonic()))
        return [task.result() for task in tasks]


@dataclass
class Samples:
    """What was seen while the probes were sent."""

    counts: list[Counts]
    routes: list[ProbeResponse]


@asynccontextmanager
async def sampling(process: MeasuredProcess) -> AsyncIterator[Samples]:
    """Count, and ask a route without dependencies, in turns in a `with` block."""
    samples = Samples([], [])

    async def sample(take: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await take()
            await asyncio.sleep(SAMPLE_INTERVAL)

    async def take_counts() -> None:
        samples.counts.append(await count(process.pid, process.port))

    async def ask_route() -> None:
        samples.routes.append(await send_probe(process.port, "/hello", PROBE_TIMEOUT))

    tasks = [asyncio.create_task(sample(take)) for take in (take_counts, ask_route)]
    try:
        yield samples
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def slowest(responses: Sequence[ProbeResponse]) -> float | None:
    """Return the longest duration, or None if there was no response, or another one than 200."""
    answered = responses and all(map(passes, responses))
    return max(each.duration for each in responses) if answered else None


def highest(counts: Sequence[Counts]) -> Counts:
    """Return the highest count of each kind."""
    return Counts(
        max((each.tasks for each in counts if each.tasks is not None), default=None),
        max(each.threads for each in counts),
        max(each.sockets for each in counts),
    )
