"""Send twice as many requests as the service can serve: measure throughput and latency.

SERVICE_CONCURRENCY_LIMIT is twice the pool size: one request per connection, and one that waits for
it. So an accepted request waits for at most one other, and no connection is idle.
"""

from collections.abc import Iterator
from statistics import median

from .compare import Measurement, Plan, require_status_codes
from .environment import Environment
from .load import RequestStream, get, percentile, send
from .measured_process import MeasuredProcess

POOL = 15
"""Connections: the service's default, with the overflow."""
CONCURRENCY_LIMIT = 2 * POOL
CLIENTS = 200
PROBES_PER_SECOND = 50
"""Each probe has a connection of its own. Many orchestrators and proxies together send so many."""
READY = get("/health/ready")
READ_DURATION = 0.05
"""Seconds that the slow database takes to read a row."""


def slow_database(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Overload the database, which is the usual bottleneck. The service has CPU time to reject."""
    path = env.insert_item()
    with env.slow_reads(READ_DURATION):
        # A slow read is a view here, into which the check cannot insert.
        settings = {"HEALTH_ITEMS_IMPACT": "warn"}
        yield from _overload(env, plan, "overload, slow database", path, **settings)


def busy_service(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Overload the CPU of the service. Rejections need some of it too."""
    yield from _overload(env, plan, "overload, busy core", env.insert_item())


def _overload(
    env: Environment, plan: Plan, topic: str, path: str, **settings: str
) -> Iterator[Measurement]:
    """Measure the capacity, and then the behavior under twice that load, in each round."""
    request = get(path)
    capacities, shares, rejected = [], [], []
    accepted_latencies: list[float] = []
    rejected_latencies: list[float] = []
    probe_latencies: list[float] = []
    with env.service(SERVICE_CONCURRENCY_LIMIT=CONCURRENCY_LIMIT, **settings) as service:
        service.wait_until_ready("/health/ready")
        for number in range(-1, plan.rounds):  # one additional round opens the pool's connections
            capacity = _measure_capacity(service, request, plan)
            requests = RequestStream(service.port, request, connections=CLIENTS, rate=2 * capacity)
            probes = RequestStream(
                service.port, READY, connections=PROBES_PER_SECOND, rate=PROBES_PER_SECOND
            )
            send([requests, probes], 2 * plan.round_seconds)
            require_status_codes(requests, {200, 503})
            require_status_codes(probes, {200})
            if number >= 0:
                capacities.append(capacity)
                shares.append(100 * requests.status_codes[200] / requests.duration / capacity)
                rejected.append(100 * requests.status_codes[503] / requests.response_count)
                accepted_latencies += requests.latencies[200]
                rejected_latencies += requests.latencies.get(503, [])
                probe_latencies += probes.latencies[200]
    yield Measurement(topic, "capacity", median(capacities), "/s")
    yield Measurement(
        topic, "throughput under twice the load", median(shares), "%", 95, at_least=True
    )
    yield Measurement(topic, "rejected requests", median(rejected), "%")
    for name, latencies in (
        ("p99 of accepted requests", accepted_latencies),
        ("p99 of rejected requests", rejected_latencies),
        ("p99 of probes", probe_latencies),
    ):
        yield Measurement(topic, name, 1000 * percentile(latencies, 0.99), "ms")


def _measure_capacity(service: MeasuredProcess, request: bytes, plan: Plan) -> float:
    """Return the requests per second with as many in flight as the limit allows."""
    stream = RequestStream(service.port, request, connections=CONCURRENCY_LIMIT)
    send([stream], plan.round_seconds)
    service.truncate_log()
    require_status_codes(stream, {200})
    return stream.response_count / stream.duration
