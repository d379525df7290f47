"""Send 2,000 probes per second: measure the load on the database and the cost for requests."""

import re
import time
from collections.abc import Iterator
from statistics import median

from .compare import Measurement, Plan, require_status_codes
from .environment import Environment
from .load import RequestStream, get, percentile, send
from .measured_process import MeasuredProcess, send_request

PROBES_PER_SECOND = 2000
READY = get("/health/ready")
ATTEMPTS = re.compile(rb'health_check_attempts_total\{check="postgres(?:\.schema)?",.*\} (.+)')
"""The checks that send one statement per attempt."""
SETTLE_TIMEOUT = 30.0
"""Seconds until no attempt may be in progress: attempts are seconds apart."""


def probe_flood(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Send probes alone, to count statements, and then together with requests."""
    with env.service() as service, env.baseline("fastapi-probed") as baseline:
        service.wait_until_ready("/health/ready")
        baseline.wait_until_ready("/health/ready")
        yield from _statements(env, service, plan)
        for workload, path in (("no database", "/memory/items"), ("one row read", "/items")):
            requests = {
                server: get(env.create_item(server, path)) for server in (service, baseline)
            }
            yield from _lost_throughput(workload, requests, plan)


def _statements(env: Environment, service: MeasuredProcess, plan: Plan) -> Iterator[Measurement]:
    """Count the statements that probes cause, without those of the checks' own attempts."""
    with env.statement_log():
        before = _count_attempts_and_statements(env, service)
        probes = RequestStream(service.port, READY, rate=PROBES_PER_SECOND)
        send([probes], plan.long_seconds)
        require_status_codes(probes, {200})
        after = _count_attempts_and_statements(env, service)
    attempts, statements = (late - early for late, early in zip(after, before, strict=True))
    p99 = 1000 * percentile(probes.latencies[200], 0.99)
    topic = "probe flood"
    yield Measurement(topic, "probe responses", probes.response_count, "")
    yield Measurement(topic, "statements of the checks", attempts, "")
    yield Measurement(topic, "additional statements", statements - attempts, "", 0)
    yield Measurement(topic, "p99 of probes", p99, "ms")


def _lost_throughput(
    workload: str, requests: dict[MeasuredProcess, bytes], plan: Plan
) -> Iterator[Measurement]:
    """Measure the throughput that a busy server loses: the service, and one with minimal probes.

    The second one loses what the kernel and uvicorn need for 2,000 more requests per second.
    """
    normal: dict[MeasuredProcess, list[float]] = {server: [] for server in requests}
    losses: dict[MeasuredProcess, list[float]] = {server: [] for server in requests}
    for number in range(-1, plan.rounds):  # one additional round, as a warm-up
        order = (False, True) if number % 2 else (True, False)
        for server, request in requests.items():
            rates = {flood: _measure_rate(server, request, plan, flood=flood) for flood in order}
            if number >= 0:
                normal[server].append(rates[False])
                losses[server].append(100 * (1 - rates[True] / rates[False]))
    service, baseline = requests
    topic = "probe flood"
    yield Measurement(topic, f"{workload}, without probes", median(normal[service]), "/s")
    lost, lost_by_baseline = median(losses[service]), median(losses[baseline])
    yield Measurement(topic, f"{workload}, lost to probes", lost, "%")
    yield Measurement(topic, f"{workload}, lost to bare probes", lost_by_baseline, "%")
    yield Measurement(topic, f"{workload}, lost beyond bare", lost - lost_by_baseline, "points", 2)


def _measure_rate(server: MeasuredProcess, request: bytes, plan: Plan, *, flood: bool) -> float:
    """Keep a server busy, and return its requests per second."""
    requests = RequestStream(server.port, request)
    probes = [RequestStream(server.port, READY, rate=PROBES_PER_SECOND)] if flood else []
    send([requests, *probes], plan.round_seconds)
    server.truncate_log()
    for stream in (requests, *probes):
        require_status_codes(stream, {200})
    return requests.response_count / requests.duration


def _count_attempts_and_statements(env: Environment, service: MeasuredProcess) -> tuple[int, int]:
    """Return attempts and statements so far, at a moment when no attempt is in progress."""
    previous = (-1, -1)
    deadline = time.monotonic() + SETTLE_TIMEOUT
    while time.monotonic() < deadline:
        _, page = send_request(service.management_port, "/metrics")
        attempts = sum(int(float(number)) for number in ATTEMPTS.findall(page))
        counts = attempts, env.logged_statements()
        if counts == previous:
            return counts
        previous = counts
        time.sleep(0.2)
    raise TimeoutError("the number of statements does not settle")
