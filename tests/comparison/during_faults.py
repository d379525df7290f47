"""Break the servers for all applications at once, ask their probes, and repair the servers."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from faults.probe_client import ProbeResponse, send_probe, send_request

from .servers import Fault, Servers

POLL_INTERVAL = 0.1
"""Seconds from one response to the next request."""
PROBE_TIMEOUT = 10.0
"""Seconds to wait for a response. A load balancer waits for less."""
READY_TIMEOUT = 60.0
STEADY = 2.0
"""Seconds of passing responses after which an application counts as recovered."""


@dataclass(frozen=True)
class Plan:
    """Seconds. A fault lasts until every probe has failed, within these bounds.

    after: for which a fault lasts after the last probe has failed.
    calm: before a fault: half of the longest time for which a library keeps a result, so that a
    result is as old as on average.
    """

    calm: float = 13.5
    shortest: float = 10.0
    after: float = 5.0
    longest: float = 35.0
    recovery: float = 60.0


@dataclass(frozen=True)
class Times:
    """When a fault began, when its repair began, and when the servers worked again."""

    injected: float
    repairing: float
    repaired: float


@dataclass(frozen=True)
class Outcome:
    """What the probe of one application said in one fault.

    detected: seconds until it did not pass, or None. recovered: seconds until it passed again, or
    None, both without a detection and if it did not pass in time.
    codes: of the responses from the detection on, or from the fault on. 0: none came in time.
    typical, slowest: seconds that these responses took.
    write: the code that a client got which wrote an item meanwhile.
    """

    detected: float | None
    recovered: float | None
    codes: Sequence[int]
    typical: float
    slowest: float
    write: int


@dataclass
class Watch:
    """The probe of an application, and all its responses in order."""

    port: int
    path: str
    responses: list[ProbeResponse] = field(default_factory=list)

    async def poll(self) -> None:
        """Send requests until cancelled."""
        while True:
            self.responses.append(await send_probe(self.port, self.path, PROBE_TIMEOUT))
            await asyncio.sleep(POLL_INTERVAL)

    def has_failed_since(self, start: float) -> bool:
        """Return whether a response that ended later did not pass."""
        return any(ended(each) > start and not passes(each) for each in self.responses)

    def has_been_steady_since(self, start: float) -> bool:
        """Return whether only passing responses ended for some seconds, all after this time."""
        start = max(start, time.monotonic() - STEADY)
        recent = [each for each in self.responses if ended(each) > start]
        waited = bool(recent) and time.monotonic() - recent[0].sent_at >= STEADY - POLL_INTERVAL
        return waited and all(map(passes, recent))


def passes(response: ProbeResponse) -> bool:
    """Return whether Kubernetes counts this response as a success."""
    return 200 <= response.status_code < 400


def ended(response: ProbeResponse) -> float:
    """Return when the response ended."""
    return response.sent_at + response.duration


def outcome(responses: Sequence[ProbeResponse], times: Times, write: int) -> Outcome:
    """Judge the responses of one application."""
    failures = [each for each in responses if ended(each) > times.injected and not passes(each)]
    during = [each for each in failures if each.sent_at < times.repairing]
    start = during[0].sent_at if during else times.injected
    seen = [each for each in responses if start <= each.sent_at and ended(each) <= times.repairing]
    recovered = None
    if during:
        last = ended(failures[-1])
        after = [ended(each) for each in responses if ended(each) > last and passes(each)]
        recovered = max(0.0, after[0] - times.repaired) if after else None
    durations = [each.duration for each in seen]
    return Outcome(
        ended(during[0]) - times.injected if during else None,
        recovered,
        [code for code, _ in Counter(each.status_code for each in seen).most_common()],
        median(durations),
        max(durations),
        write,
    )


async def break_and_repair(
    fault: Fault, servers: Servers, watches: Sequence[Watch], plan: Plan
) -> list[Outcome]:
    """Inject one fault, and return what each probe said.

    Raises TimeoutError if a probe does not pass before it.
    """
    await wait_for(lambda: all(each.has_been_steady_since(0.0) for each in watches), READY_TIMEOUT)
    await asyncio.sleep(plan.calm)
    injected = time.monotonic()
    await asyncio.to_thread(fault.inject, servers)
    await asyncio.sleep(plan.shortest)
    with contextlib.suppress(TimeoutError):  # one of them does not notice it
        remaining = plan.longest - plan.shortest
        await wait_for(lambda: all(each.has_failed_since(injected) for each in watches), remaining)
        await asyncio.sleep(plan.after)
    writes = await asyncio.gather(*(write_item(each.port) for each in watches))
    repairing = time.monotonic()
    await asyncio.to_thread(fault.repair, servers)
    repaired = time.monotonic()
    with contextlib.suppress(TimeoutError):  # the outcome says so
        await wait_for(
            lambda: all(each.has_been_steady_since(repaired) for each in watches), plan.recovery
        )
    times = Times(injected, repairing, repaired)
    return [
        outcome(each.responses, times, write) for each, write in zip(watches, writes, strict=True)
    ]


async def write_item(port: int) -> int:
    """Write an item as a client, and return the status code, or 0 without a response."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            code, _ = await send_request(port, "/items", "POST")
    except TimeoutError:
        return 0
    return code


async def wait_for(condition: Callable[[], bool], timeout: float) -> None:  # noqa: ASYNC109 - the callers' bound
    """Wait until a condition holds. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.05)
