"""Twice what the service can do: what it still does, and how soon.

SERVICE_MAX_IN_FLIGHT is twice the pool: those that hold a connection, and as many that wait for
theirs. So nobody who was accepted waits for more than one other, and no connection is ever idle.
"""

from collections.abc import Iterator

from .compare import Figure, Plan, require
from .load import Stream, get, run
from .stage import Stage
from .subject import Subject

POOL = 15
"""Connections: the service's default, with the overflow."""
BOUND = 2 * POOL
CLIENTS = 200
PROBES = 50
"""A second."""
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
    with stage.service(SERVICE_MAX_IN_FLIGHT=BOUND) as service:
        service.until("/health/ready")
        request = get(path)
        capacity = _capacity(service, request, plan)
        work = Stream(service.port, request, connections=CLIENTS, rate=2 * capacity)
        probes = Stream(service.port, get("/health/ready"), rate=PROBES)
        run([work, probes], plan.long)
        require(work, {200, 503})
        require(probes, {200})
    goodput = work.codes[200] / work.seconds
    yield Figure(topic, "capacity", capacity, "/s")
    yield Figure(topic, "offered", 2 * capacity, "/s")
    yield Figure(topic, "answered in order", goodput, "/s")
    yield Figure(topic, "of the capacity", 100 * goodput / capacity, "%", 95, at_least=True)
    yield Figure(topic, "refused at once", work.codes[503] / work.seconds, "/s")
    yield Figure(topic, "p99 of those accepted", 1000 * work.percentile(0.99), "ms")
    yield Figure(topic, "p99 of those refused", 1000 * work.percentile(0.99, 503), "ms")
    yield Figure(topic, "p99 of a probe", 1000 * probes.percentile(0.99), "ms")


def _capacity(service: Subject, request: bytes, plan: Plan) -> float:
    """Return the requests a second when as many are in flight as may be."""
    for seconds in (plan.seconds, plan.long):  # the first warms up
        stream = Stream(service.port, request, connections=BOUND)
        run([stream], seconds)
        require(stream, {200})
    return stream.answered / stream.seconds
