"""Measure what the service costs as it grows: more routes, more checks, more connections."""

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from .compare import Measurement, Plan, Workload, require_status_codes, run_round
from .environment import Environment
from .load import RequestStream, get, percentile, send
from .measured_process import MeasuredProcess, send_request

ROUTES, CHECKS, CONNECTIONS = (10, 100, 400), (1, 10, 50), (10, 1_000, 10_000)
SPARE_FILES = 500
"""Open files of a process that are no connections of this scenario."""
ANSWER_TIMEOUT = 60.0
"""Seconds that one answer may take on a busy machine."""
LIVE = get("/health/live")


def routes(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Measure the service with more and more routes."""
    for number in ROUTES:
        yield from _with_routes(env, plan, number)


def checks(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Measure the service with more and more checks."""
    for number in CHECKS:
        yield from _with_checks(env, plan, number)


def connections(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Measure the service with more and more idle connections."""
    for number in CONNECTIONS:
        yield from _with_connections(env, plan, number)


def _with_routes(env: Environment, plan: Plan, number: int) -> Iterator[Measurement]:
    topic = f"growth, {number} routes"
    started = time.perf_counter()
    with env.service(BENCH_ROUTES=number) as service:
        service.wait_until_ready("/health/live")
        yield Measurement(topic, "start", time.perf_counter() - started, "s")
        yield Measurement(topic, "CPU of the start", service.cpu_seconds(), "s")
        service.wait_until_ready("/health/ready")
        for route in range(number):
            service.request(f"/growth/{route}")
        yield Measurement(topic, "memory", service.resident_megabytes(), "MB")
        yield from _scrape(service, plan, topic)


def _scrape(service: MeasuredProcess, plan: Plan, topic: str) -> Iterator[Measurement]:
    """Measure scrapes, and for how long a probe waits meanwhile."""
    pages: list[bytes] = []
    seconds: list[float] = []

    def scrape_repeatedly(until: float) -> None:
        while not pages or time.perf_counter() < until:
            before = service.cpu_seconds()
            pages.append(send_request(service.management_port, "/metrics")[1])
            seconds.append(service.cpu_seconds() - before)

    def longest_wait() -> float:
        probes = RequestStream(service.port, LIVE, connections=1, rate=200)
        send([probes], plan.round_seconds)
        require_status_codes(probes, {200})
        return 1000 * percentile(probes.latencies[200], 0.99)

    alone = longest_wait()
    with ThreadPoolExecutor(1) as pool:
        scraping = pool.submit(scrape_repeatedly, time.perf_counter() + plan.round_seconds)
        during = longest_wait()
        scraping.result()
    yield Measurement(topic, "lines of /metrics", pages[-1].count(b"\n"), "")
    yield Measurement(topic, "CPU of a scrape and probes", 1000 * min(seconds), "ms")
    yield Measurement(topic, "p99 of probes", alone, "ms")
    yield Measurement(topic, "p99 of probes during scrapes", during, "ms")


def _with_checks(env: Environment, plan: Plan, number: int) -> Iterator[Measurement]:
    topic = f"growth, {number} checks" if number > 1 else "growth, 1 check"
    with env.service(BENCH_CHECKS=number) as service:
        service.wait_until_ready("/health/ready")
        yield Measurement(topic, "memory", service.resident_megabytes(), "MB")
        before = service.cpu_seconds()
        time.sleep(plan.long_seconds)
        used = (service.cpu_seconds() - before) / plan.long_seconds
        yield Measurement(topic, "CPU while idle", 1000 * used, "ms/s")
        ready = run_round(Workload(service, get("/health/ready")), plan.round_seconds)
        yield Measurement(topic, "CPU of ready", 1e6 * ready.cpu, "µs")


def _with_connections(env: Environment, plan: Plan, number: int) -> Iterator[Measurement]:
    topic = f"growth, {number:,} connections"
    with env.service(SERVICE_KEEP_ALIVE_TIMEOUT=600) as service, ExitStack() as stack:
        service.wait_until_ready("/health/ready")
        before = service.heap_megabytes()
        opened = stack.enter_context(_idle_connections(service, min(number, plan.requests)))
        heap = 1024 * (service.heap_megabytes() - before)
        yield Measurement(topic, "opened", opened, "")
        yield Measurement(topic, "memory of all", heap, "KiB")
        live = run_round(Workload(service, LIVE), plan.long_seconds)
        yield Measurement(topic, "CPU of live beside them", 1e6 * live.cpu, "µs")
        started = service.cpu_seconds()
        time.sleep(plan.round_seconds)
        used = (service.cpu_seconds() - started) / plan.round_seconds
        yield Measurement(topic, "CPU while idle", 1000 * used, "ms/s")


@contextlib.contextmanager
def _idle_connections(service: MeasuredProcess, number: int) -> Iterator[int]:
    """Open connections that have sent one request each; fewer if files are limited."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS reports more than it grants
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = number if soft == resource.RLIM_INFINITY else min(number, soft - SPARE_FILES)
    with ExitStack() as stack:
        for _ in range(limit):
            connection = socket.create_connection(("127.0.0.1", service.port), ANSWER_TIMEOUT)
            stack.enter_context(connection)
            connection.sendall(LIVE)
            if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("a connection was not served")
        yield limit
