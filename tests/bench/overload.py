"""Send more requests than the service can serve, in an open loop: what do clients get?

3,000 open connections send at a fixed rate, whether or not earlier requests are answered. The
service has its default settings, and is compared with fixed limits and with none. The client has a
core of its own. Its delay shows whether it kept up: if that is not a few milliseconds, other
programs were running, and the other values say nothing.
"""

import resource
from collections.abc import Iterator

from .compare import Measurement, Plan
from .environment import Environment
from .load import RequestStream, get, percentile, send
from .measured_process import MeasuredProcess

CONNECTIONS = 3000
SPARE_DESCRIPTORS = 200
CLOSED_LOOP_CONNECTIONS = 60
"""More than the pool and the threads, and few enough to be answered at once."""
LIMITS = {
    "auto": {},
    "fixed 30": {"SERVICE_CONCURRENCY_LIMIT": 30},
    "fixed 5000": {"SERVICE_CONCURRENCY_LIMIT": 5000},
    "no limit": {"SERVICE_CONCURRENCY_LIMIT": 1_000_000},
}
TARGETS = {2: 90, 5: 75, 10: 55}
"""By the load: the share of the capacity, in percent, that is answered within a second."""
ACCEPTED_P99, REJECTED_P99, PROBE_P99 = 400, 50, 50
"""Milliseconds."""
RECOVERY_SECONDS = 2.0
PROBES_PER_SECOND = 50
"""Each probe has a connection of its own. Many orchestrators and proxies together send so many."""
READY = get("/health/ready")
BURST, BURSTS = 200, 3
READ_DURATION = 0.05
"""Seconds that the slow database takes to read a row."""
ITEMS = 20


def busy_service(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Overload the CPU of the service with lists of items. Rejections need some of it too."""
    for _ in range(ITEMS):
        env.insert_item()
    yield from _overload(env, plan, "overload, busy core", "/items", (2, 5, 10))


def slow_database(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Overload the database. The service has CPU time to reject."""
    path = env.insert_item()
    with env.slow_reads(READ_DURATION):
        # A slow read is a view here, into which the check cannot insert.
        settings = {"HEALTH_ITEMS_IMPACT": "warn"}
        yield from _overload(env, plan, "overload, slow database", path, (2, 5), **settings)


def blocking_handlers(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Overload the threads that run `def` handlers."""
    yield from _overload(env, plan, "overload, def handlers", "/blocking", (2, 5))


def ordinary_load(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Send bursts to an idle service, then less than it can answer: nothing may be rejected."""
    for _ in range(ITEMS):
        env.insert_item()
    _raise_fd_limit()
    with env.service() as service:
        service.wait_until_ready("/health/ready")
        bursts = RequestStream(service.port, get("/items"), connections=BURST)
        for _ in range(BURSTS):
            send([bursts], 0)  # each connection sends one request
        name = f"rejected of {BURSTS} bursts of {BURST}"
        yield Measurement("ordinary load", name, bursts.status_codes[503], "", 0)
        capacity = _measure_capacity(service, "/items", plan)
        stream = RequestStream(
            service.port, get("/items"), connections=CONNECTIONS, rate=0.7 * capacity
        )
        send([stream], 60 * plan.fault_minutes, settle=True)
        name = f"rejected in {plan.fault_minutes:g} minutes at 0.7 x"
        yield Measurement("ordinary load", name, stream.status_codes[503], "", 0)
        yield Measurement("ordinary load", "p99 of answers at 0.7 x", _p99(stream, 200), "ms")


def _overload(
    env: Environment, plan: Plan, topic: str, path: str, factors: tuple[int, ...], **settings: str
) -> Iterator[Measurement]:
    """Measure each limit in a process of its own, under multiples of the capacity.

    The speed of a machine changes within seconds. So the capacity is that of a process with default
    settings on the same core, directly before and after each overload.
    """
    _raise_fd_limit()
    with env.service(**settings) as reference:
        reference.wait_until_ready("/health/ready")
        _measure_capacity(reference, path, plan)  # opens the pool
        for name, limit in LIMITS.items():
            with env.service(**limit, **settings) as service:
                service.wait_until_ready("/health/ready")
                for factor in factors:
                    before = _measure_capacity(reference, path, plan)
                    requests, probes = _send_overload(service, plan, path, factor * before)
                    capacity = (before + _measure_capacity(reference, path, plan)) / 2
                    of = f"{topic}, {factor} x"
                    yield from _report(plan, of, name, factor, capacity, requests, probes)
                if name == "auto":
                    yield _measure_recovery(service, topic, path, capacity)


def _raise_fd_limit() -> None:
    """Allow this process as many connections as the system grants."""
    _, granted = resource.getrlimit(resource.RLIMIT_NOFILE)
    if granted < CONNECTIONS + SPARE_DESCRIPTORS:
        raise RuntimeError(f"{CONNECTIONS} connections need more open files than {granted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, granted))


def _measure_capacity(service: MeasuredProcess, path: str, plan: Plan) -> float:
    """Return the answers per second in a closed loop."""
    stream = RequestStream(service.port, get(path), connections=CLOSED_LOOP_CONNECTIONS)
    send([stream], 2 * plan.round_seconds)
    service.truncate_log()
    if not stream.status_codes[200]:
        raise RuntimeError(f"{path} returned {dict(stream.status_codes)}")
    return stream.status_codes[200] / stream.duration


def _send_overload(
    service: MeasuredProcess, plan: Plan, path: str, rate: float
) -> tuple[RequestStream, RequestStream]:
    """Send requests and probes in an open loop, and return both."""
    requests = RequestStream(
        service.port, get(path), connections=CONNECTIONS, rate=rate, may_fail=True
    )
    probes = RequestStream(
        service.port, READY, connections=PROBES_PER_SECOND, rate=PROBES_PER_SECOND, may_fail=True
    )
    send([requests, probes], plan.overload_seconds, settle=True)
    service.truncate_log()
    return requests, probes


def _report(
    plan: Plan,
    topic: str,
    name: str,
    factor: int,
    capacity: float,
    requests: RequestStream,
    probes: RequestStream,
) -> Iterator[Measurement]:
    accepted = requests.latencies.get(200, [])
    in_time = sum(latency <= 1 for latency in accepted) / plan.overload_seconds
    values = (
        ("capacity", capacity, "/s", None, False),
        ("answered within 1 s", 100 * in_time / capacity, "%", TARGETS[factor], True),
        ("p99 of accepted", 1000 * percentile(accepted, 0.99), "ms", ACCEPTED_P99, False),
        ("p99 of rejected", _p99(requests, 503), "ms", REJECTED_P99, False),
        ("p99 of probes", _p99(probes, 200), "ms", PROBE_P99, False),
        ("p99 of the client's delay", 1000 * percentile(requests.delays, 0.99), "ms", None, False),
    )
    for what, value, unit, target, at_least in values:
        own = target if name == "auto" else None
        yield Measurement(topic, f"{name}: {what}", value, unit, own, at_least)


def _p99(stream: RequestStream, code: int) -> float:
    return 1000 * percentile(stream.latencies.get(code, []), 0.99)


def _measure_recovery(
    service: MeasuredProcess, topic: str, path: str, capacity: float
) -> Measurement:
    """Return the rejections in the third and fourth second at 0.7 x, directly after an overload."""
    for _ in range(2):
        stream = RequestStream(
            service.port, get(path), connections=CLOSED_LOOP_CONNECTIONS, rate=0.7 * capacity
        )
        send([stream], RECOVERY_SECONDS)
    service.truncate_log()
    rejected = stream.status_codes[503]
    return Measurement(topic, "rejected 2 s after the overload", rejected, "", 0)
