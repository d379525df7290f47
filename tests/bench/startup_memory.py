"""Measure the startup and the memory of the service, compared with the same routes in FastAPI."""

import time
from collections.abc import Callable, Iterator
from statistics import median

from .compare import Measurement, Plan, require_status_codes
from .environment import Environment
from .load import RequestStream, get, post, send
from .measured_process import MeasuredProcess

STARTS = 5


def startup(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Measure the time from the start to the first response, and the memory at that moment."""
    servers: dict[str, tuple[Callable[[], MeasuredProcess], tuple[str, ...]]] = {
        "service": (env.unchanged_service, ("/health/live", "/health/ready")),
        "bare FastAPI": (lambda: env.baseline("fastapi"), ("/healthz",)),
    }
    values: dict[tuple[str, str], list[float]] = {}
    for _ in range(min(STARTS, plan.rounds)):
        for name, (create, paths) in servers.items():
            started = time.perf_counter()
            with create() as server:
                for path in paths:
                    server.wait_until_ready(path)
                    seconds = time.perf_counter() - started
                    values.setdefault((f"{name}, {path} is 200", "s"), []).append(seconds)
                memory = server.resident_megabytes()
                values.setdefault((f"{name}, memory after startup", "MB"), []).append(memory)
    medians = {name: median(samples) for name, samples in values.items()}
    for (name, unit), value in medians.items():
        yield Measurement("startup", name, value, unit)
    for title, name, unit, target in (
        ("start", "{}, {} is 200", "s", 1.15),
        ("memory", "{}, memory after startup", "MB", 1.1),
    ):
        of_service = medians[name.format("service", "/health/live"), unit]
        of_baseline = medians[name.format("bare FastAPI", "/healthz"), unit]
        yield Measurement("startup", f"{title} / bare", of_service / of_baseline, "", target)


def memory_after_requests(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Measure the memory after many requests. The first tenth of them is a warm-up."""
    with env.service() as service:
        service.wait_until_ready("/health/ready")
        read, write = get(env.create_item(service)), post("/items", b'{"name": "Lamp"}')
        memory, served = [], 0
        while served < plan.requests:
            streams = [
                RequestStream(service.port, request, connections=4)
                for request in (read, write, get("/items"), get("/nowhere"))
            ]
            send(streams, plan.round_seconds)
            for stream, code in zip(streams, (200, 201, 200, 404), strict=True):
                require_status_codes(stream, {code})
                served += stream.response_count
            service.truncate_log()
            if served > plan.requests / 10:
                memory.append(service.heap_megabytes())
    yield Measurement("memory", "requests served", served, "")
    yield from _growth("after requests", memory)


def memory_after_faults(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Measure the memory after minutes in which the database is frozen, killed and restarted."""
    postgres = env.postgres
    with env.service(SERVICE_REQUEST_TIMEOUT=1) as service:
        service.wait_until_ready("/health/ready")
        request = get(env.create_item(service))
        memory: list[float] = []
        end = time.monotonic() + 60 * plan.fault_minutes
        while not memory or time.monotonic() < end:
            postgres.pause()
            try:
                _send_requests_and_probes(service, request, plan)
            finally:
                postgres.resume()
            _send_requests_and_probes(service, request, plan)
            postgres.kill()
            _send_requests_and_probes(service, request, plan)
            postgres.start()
            _send_requests_and_probes(service, request, plan)
            service.wait_until_ready("/health/ready")
            service.truncate_log()
            memory.append(service.heap_megabytes())
    yield Measurement("memory", "minutes of faults", max(plan.fault_minutes, 0.01), "min")
    yield Measurement("memory", "faults", 2 * len(memory), "")
    yield from _growth("after faults", memory[min(2, len(memory) - 1) :])


def _growth(name: str, memory: list[float]) -> Iterator[Measurement]:
    """Compare the last third of the samples with the first third."""
    third = -(-len(memory) // 3)
    first, last = median(memory[:third]), median(memory[-third:])
    yield Measurement("memory", f"{name}, first third", first, "MB")
    yield Measurement("memory", f"{name}, last third", last, "MB")
    yield Measurement("memory", f"{name}, last / first", last / first, "", 1.05)


def _send_requests_and_probes(service: MeasuredProcess, request: bytes, plan: Plan) -> None:
    """Send requests and probes for a while, and accept any response.

    A service that is not ready closes connections. On a busy machine it can get there.
    """
    streams = [
        RequestStream(service.port, request, rate=50, may_fail=True),
        RequestStream(service.port, get("/health/ready"), rate=20, may_fail=True),
    ]
    send(streams, 7 * plan.round_seconds)
