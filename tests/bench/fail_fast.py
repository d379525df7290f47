"""Freeze the database under 100 requests per second, and measure what its clients get.

The same is measured with applications that have a circuit breaker of a library instead of health
checks: see `breakers.py`. Then one row is locked, so that every change of it fails.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median

from .breakers import LIBRARIES, RESET_TIMEOUT, THRESHOLD
from .compare import Measurement, Plan
from .environment import Environment
from .load import get, percentile
from .measured_process import MeasuredProcess, send_request

RATE = 100.0
OTHER_RATE = 20.0
"""Requests per second to a route that needs no database."""
WARM_UP, AFTER = 3.0, 4.0
"""Seconds before the freeze, and after the thaw."""
RESPONSE_TIMEOUT = 30.0
IMMEDIATE = 0.05
"""Seconds within which the first refusal comes that did not wait for the database."""
TRIED = 0.5
"""Seconds after which a request has certainly waited for the database."""
IN_FLIGHT = re.compile(rb"^http_requests_in_flight\{.*\} (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """What one client got. sent_at: seconds of `time.monotonic`. status: 0 without a response."""

    sent_at: float
    duration: float
    status: int

    @property
    def received_at(self) -> float:
        """When the response arrived."""
        return self.sent_at + self.duration


async def send_one(port: int, request: bytes) -> Answer:
    """Send a request on a connection of its own, as a client behind a new proxy does."""
    started, status = time.monotonic(), 0
    with contextlib.suppress(OSError, TimeoutError, ValueError, IndexError):
        async with asyncio.timeout(RESPONSE_TIMEOUT):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
            writer.transport.abort()
    return Answer(started, time.monotonic() - started, status)


async def send_steadily(port: int, path: str, rate: float, until: float) -> list[Answer]:
    """Send requests at a rate, whatever the responses are, and return all answers in order."""
    request, tasks, due = get(path), [], time.monotonic()
    while due < until:
        tasks.append(asyncio.create_task(send_one(port, request)))
        due += 1 / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    return list(await asyncio.gather(*tasks))


@dataclass(frozen=True)
class Outage:
    """What the clients of one server got. Times are seconds of `time.monotonic`."""

    reads: list[Answer]
    others: list[Answer]
    frozen_at: float
    thawed_at: float

    @property
    def during(self) -> list[Answer]:
        """The reads that were sent while the database was frozen."""
        return [each for each in self.reads if self.frozen_at <= each.sent_at < self.thawed_at]

    @property
    def detected_at(self) -> float:
        """When the first client was refused at once."""
        refused = (each for each in self.during if each.status and each.duration < IMMEDIATE)
        return min((each.sent_at for each in refused), default=self.thawed_at)

    @property
    def after(self) -> list[float]:
        """How long the reads took that were sent after the detection, in the freeze."""
        return [each.duration for each in self.during if each.sent_at >= self.detected_at]

    @property
    def sacrificed(self) -> int:
        """How many of these were tried on the frozen database, and waited for it."""
        return sum(duration >= TRIED for duration in self.after)

    @property
    def recovered_after(self) -> float:
        """Seconds from the thaw until the first success."""
        successes = (
            each.received_at
            for each in self.reads
            if each.status == HTTPStatus.OK and each.received_at >= self.thawed_at
        )
        return min(successes, default=float("inf")) - self.thawed_at


async def freeze(
    env: Environment, port: int, path: str, seconds: float, sample: Callable[[], None] | None = None
) -> Outage:
    """Freeze the database for some seconds, while clients send requests.

    sample: called in another thread, after half of these seconds and at their end.
    """
    started = time.monotonic()
    until = started + WARM_UP + seconds + max(AFTER, 2 * RESET_TIMEOUT)

    async def control() -> tuple[float, float]:
        await asyncio.sleep(WARM_UP)
        await asyncio.to_thread(env.postgres.pause)
        try:
            frozen_at = time.monotonic()
            for _ in range(2):
                await asyncio.sleep(seconds / 2)
                if sample:
                    await asyncio.to_thread(sample)
        finally:
            thawed_at = time.monotonic()
            await asyncio.to_thread(env.postgres.resume)
        return frozen_at, thawed_at

    tasks: list[Awaitable[object]] = [
        send_steadily(port, path, RATE, until),
        send_steadily(port, "/memory/items", OTHER_RATE, until),
    ]
    (reads, others), (frozen_at, thawed_at) = await asyncio.gather(
        asyncio.gather(*tasks), control()
    )
    return Outage(reads, others, frozen_at, thawed_at)  # type: ignore[arg-type]


def fail_fast(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Measure the service, and the libraries on the same fault."""
    path = env.insert_item()
    topic = "fail fast"
    with env.service() as service:
        service.wait_until_ready("/health/ready")
        in_flight: list[float] = []
        memory: list[float] = []

        def sample() -> None:
            in_flight.append(requests_in_flight(service))
            memory.append(service.heap_megabytes())

        outage = asyncio.run(freeze(env, service.port, path, plan.long_seconds, sample))
        waits = [each.duration for each in outage.during]
        others = [each.duration for each in outage.others if each.status == HTTPStatus.OK]
        failed = len(outage.others) - len(others)
        yield Measurement(topic, "longest wait", max(waits), "s", 3)
        yield from outage_measurements(topic, outage)
        yield Measurement(topic, "median of refusals", 1000 * median(outage.after or [0]), "ms")
        yield Measurement(topic, "p99 of refusals", 1000 * percentile(outage.after, 0.99), "ms", 20)
        yield Measurement(topic, "in flight after the detection", max(in_flight), "", 50)
        yield Measurement(topic, "p99 without database", 1000 * percentile(others, 0.99), "ms")
        yield Measurement(topic, "failed without database", failed, "", 0)
        yield Measurement(topic, "memory at the end / half-time", memory[-1] / memory[0], "", 1.05)
        yield locked_row(env, topic, service)
    for name in LIBRARIES:
        with env.breaker(name) as server:
            server.wait_until_ready(path)
            topic = f"fail fast, {name}"
            outage = asyncio.run(freeze(env, server.port, path, plan.long_seconds))
            yield from outage_measurements(topic, outage)
            yield locked_row(env, topic, server)


def outage_measurements(topic: str, outage: Outage) -> Iterator[Measurement]:
    """Yield what can be compared."""
    detection = outage.detected_at - outage.frozen_at
    yield Measurement(topic, "time until refusals are immediate", detection, "s", 3)
    yield Measurement(topic, "requests sacrificed as probes", outage.sacrificed, "", 0)
    yield Measurement(topic, "first success after the thaw", outage.recovered_after, "s", 1.5)


def locked_row(env: Environment, topic: str, server: MeasuredProcess) -> Measurement:
    """Let changes of one item fail, and count how many reads of another one are refused."""
    path, other = env.insert_item(), env.insert_item()
    refused = 0
    with env.locked(path):
        for _ in range(20):
            for _ in range(THRESHOLD):
                server.request(path, "PATCH", '{"name": "Torch"}')
            refused += server.status_code(other) != HTTPStatus.OK
    return Measurement(topic, "of 20 reads beside a locked row, refused", refused, "", 0)


def requests_in_flight(service: MeasuredProcess) -> float:
    """Return the value that the service reports."""
    _, page = send_request(service.management_port, "/metrics")
    match = IN_FLIGHT.search(page)
    if not match:
        raise RuntimeError("the service has no metric http_requests_in_flight")
    return float(match[1])
