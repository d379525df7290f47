"""Twice what the service can do: what it still does, and how soon.

SERVICE_CONCURRENCY_LIMIT is twice the pool: those that hold a connection, and as many that wait for
theirs. So nobody who was accepted waits for more than one other, and no connection is ever idle.
"""

from collections.abc import Iterator
from statistics import median

from .compare import Figure, Plan, require
from .environment import Stage
from .load import Stream, get, percentile, run
from .measured_process import Subject

POOL = 15
"""Connections: the service's default, with the overflow."""
BOUND = 2 * POOL
CLIENTS = 200
PROBES = 50
"""A second, each on a connection of its own: many orchestrators' and proxies' worth."""
READY = get("/health/ready")
ROW = 0.05
"""Seconds that the slow database takes for a row."""


def slow_database(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """The database is what there is too little of, as mostly; the service has time to refuse."""
    row = stage.row()
    with stage.slow_rows(ROW):
        yield from _overload(stage, plan, "overload, slow database", row)


def busy_service(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """The service's own core is what there is too little of, and refusals take some of it too."""
    yield from _overload(stage, plan, "overload, busy core", stage.row())


def _overload(stage: Stage, plan: Plan, topic: str, path: str) -> Iterator[Figure]:
    """Measure in turns what it can do, and what it does when twice that is asked."""
    request = get(path)
    capacities, shares, refused = [], [], []
    latencies: dict[str, list[float]] = {"those accepted": [], "those refused": [], "a probe": []}
    with stage.service(SERVICE_CONCURRENCY_LIMIT=BOUND) as service:
        service.until("/health/ready")
        for number in range(-1, plan.rounds):  # one before, which opens the pool
            capacity = _capacity(service, request, plan)
            work = Stream(service.port, request, connections=CLIENTS, rate=2 * capacity)
            probes = Stream(service.port, READY, connections=PROBES, rate=PROBES)
            run([work, probes], 2 * plan.seconds)
            require(work, {200, 503})
            require(probes, {200})
            if number >= 0:
                capacities.append(capacity)
                shares.append(100 * work.codes[200] / work.seconds / capacity)
                refused.append(100 * work.codes[503] / work.answered)
                latencies["those accepted"] += work.latencies[200]
                latencies["those refused"] += work.latencies.get(503, [])
                latencies["a probe"] += probes.latencies[200]
    yield Figure(topic, "capacity", median(capacities), "/s")
    yield Figure(topic, "of it under twice the load", median(shares), "%", 95, at_least=True)
    yield Figure(topic, "refused at once", median(refused), "%")
    for whose, seconds in latencies.items():
        yield Figure(topic, f"p99 of {whose}", 1000 * percentile(seconds, 0.99), "ms")


def _capacity(service: Subject, request: bytes, plan: Plan) -> float:
    """Return the requests a second when as many are in flight as may be."""
    stream = Stream(service.port, request, connections=BOUND)
    run([stream], plan.seconds)
    service.forget_log()
    require(stream, {200})
    return stream.answered / stream.seconds
