"""The start and the memory of the service, and of the same routes bare."""

import time
from collections.abc import Callable, Iterator
from statistics import median

from .compare import Figure, Plan, require
from .environment import Stage
from .load import Stream, get, post, run
from .measured_process import Subject

STARTS = 5


def start(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """From nothing to the first answer, and what it then takes."""
    contestants: dict[str, tuple[Callable[[], Subject], tuple[str, ...]]] = {
        "service": (stage.deployed, ("/health/live", "/health/ready")),
        "bare FastAPI": (lambda: stage.bare("fastapi"), ("/healthz",)),
    }
    seen: dict[tuple[str, str], list[float]] = {}
    for _ in range(min(STARTS, plan.rounds)):
        for name, (make, paths) in contestants.items():
            began = time.perf_counter()
            with make() as subject:
                for path in paths:
                    subject.until(path)
                    took = time.perf_counter() - began
                    seen.setdefault((f"{name}, {path} is 200", "s"), []).append(took)
                seen.setdefault((f"{name}, memory then", "MB"), []).append(subject.memory())
    for (name, unit), values in seen.items():
        yield Figure("start", name, median(values), unit)


def requests(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """The memory after many requests, beside that after the first tenth of them."""
    with stage.service() as service:
        service.until("/health/ready")
        read, write = get(stage.item(service)), post("/items", b'{"name": "Lamp"}')
        memory, served = [], 0
        while served < plan.requests:
            streams = [
                Stream(service.port, request, connections=4)
                for request in (read, write, get("/items"), get("/nowhere"))
            ]
            run(streams, plan.seconds)
            for stream, code in zip(streams, (200, 201, 200, 404), strict=True):
                require(stream, {code})
                served += stream.answered
            service.forget_log()
            memory += [service.heap()] * (served > plan.requests / 10)
    yield Figure("memory", "requests served", served, "")
    yield from _growth("after the requests", memory)


def faults(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """The memory after minutes in which the database is frozen, killed and brought back."""
    postgres = stage.postgres
    with stage.service(SERVICE_REQUEST_TIMEOUT=1) as service:
        service.until("/health/ready")
        request = get(stage.item(service))
        memory: list[float] = []
        end = time.monotonic() + 60 * plan.fault_minutes
        while not memory or time.monotonic() < end:
            postgres.pause()
            try:
                _ask(service, request, plan)
            finally:
                postgres.resume()
            _ask(service, request, plan)
            postgres.kill()
            _ask(service, request, plan)
            postgres.start()
            _ask(service, request, plan)
            service.until("/health/ready")
            service.forget_log()
            memory.append(service.heap())
    yield Figure("memory", "minutes of faults", max(plan.fault_minutes, 0.01), "min")
    yield Figure("memory", "faults", 2 * len(memory), "")
    yield from _growth("after the faults", memory[min(2, len(memory) - 1) :])


def _growth(when: str, memory: list[float]) -> Iterator[Figure]:
    """Compare the last third with the first."""
    third = -(-len(memory) // 3)
    first, last = median(memory[:third]), median(memory[-third:])
    yield Figure("memory", f"{when}, the first third", first, "MB")
    yield Figure("memory", f"{when}, the last third", last, "MB")
    yield Figure("memory", f"{when}, last / first", last / first, "", 1.05)


def _ask(service: Subject, request: bytes, plan: Plan) -> None:
    """Keep asking the service and its probes for a while, whatever they answer."""
    streams = [
        Stream(service.port, request, rate=50),
        Stream(service.port, get("/health/ready"), rate=20),
    ]
    run(streams, 7 * plan.seconds)
