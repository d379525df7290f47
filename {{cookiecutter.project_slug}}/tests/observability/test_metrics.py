"""Metrics of a running service, after successful and failing requests."""

import contextlib
import re
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import prometheus_client
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from reference_service.health import Registry
from reference_service.telemetry.counters import Counters
from reference_service.telemetry.instrumentation import ServiceInfo
from reference_service.telemetry.metrics import Metrics

from ..conftest import StartService
from ..domain import NEW, PATH, ROUTE
from ..processes import Service, wait_until

OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}
PROMETHEUS_2 = {
    # The header of Prometheus 2.42.
    "accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
    "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
}
REQUESTS = "http_request_duration_seconds_count"


def read(service: Service, name: str, **labels: str) -> float | None:
    """Scrape the metrics and return `total`."""
    return total(service.management.get("/metrics").text, name, **labels)


def total(text: str, name: str, **labels: str) -> float | None:
    """Return the sum of the series with this name and these labels; None if there is no series."""
    values = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(values) if values else None


def test_metrics_of_service_have_service_id(service: Service) -> None:
    text = service.management.get("/metrics").text
    ours = [
        (sample.name, sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.startswith(("process_", "python_", "team_"))
    ]
    assert len(ours) > 100
    service_ids = {labels.get("service_id") for _, labels in ours}
    assert service_ids == {"reference-service"}


def test_requests_are_counted_per_route_template(service: Service) -> None:
    created = service.api.post(PATH, json=NEW).json()
    for _ in range(3):
        service.api.get(f"{PATH}/{created['id']}")
    assert read(service, REQUESTS, method="POST", route=PATH, status_code="201") == 1
    route = {"method": "GET", "route": ROUTE}
    assert read(service, REQUESTS, **route, status_code="200") == 3
    assert read(service, "http_request_duration_seconds_bucket", **route, le="10.0") == 3


def test_probes_are_not_counted_as_requests(service: Service) -> None:
    before = read(service, REQUESTS)
    for name in ("startup", "ready", "live"):
        service.probe(name)
    assert read(service, REQUESTS) == before


def test_unknown_routes_and_methods_share_one_label_value(service: Service) -> None:
    before = series(service)
    for number in range(20):
        service.api.get(f"/no/such/route/{number}")
        service.api.get(f"{PATH}/{number}")
    for method in ("PURGE", "PROPFIND", "MKCOL", "NOTIFY"):
        service.api.request(method, PATH)
    assert read(service, REQUESTS, route="other", status_code="404") == 20
    assert read(service, REQUESTS, method="other") == 4
    new = {(labels["method"], labels["route"]) for labels in series(service)}
    new -= {(labels["method"], labels["route"]) for labels in before}
    assert new <= {("other", PATH), ("other", "other")}


def series(service: Service) -> list[dict[str, str]]:
    text = service.management.get("/metrics").text
    families = text_string_to_metric_families(text)
    return [s.labels for family in families for s in family.samples if s.name == REQUESTS]


def test_series_of_failures_start_at_zero(service: Service) -> None:
    for status in ("500", "503", "504"):
        at_start = read(service, REQUESTS, method="GET", route=PATH, status_code=status)
        assert at_start == 0
    where = {"method": "GET", "route": "/faults/raise/{family}", "status_code": "500"}
    assert read(service, REQUESTS, **where) == 0
    service.api.get("/faults/raise/ValueError")
    assert read(service, REQUESTS, **where) == 1


def abort_response(service: Service) -> None:
    with contextlib.suppress(httpx.RemoteProtocolError):
        service.api.get("/faults/break-off")


def send_slowly(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(f"GET {PATH} HTTP/1.1\r\n".encode())
        assert client.recv(1) == b""  # the service closed the connection


def exceed_concurrency_limit(service: Service) -> None:
    """Send a request while another one uses the only slot."""
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(b"GET /faults/sleep/60 HTTP/1.1\r\nHost: here\r\n\r\n")
        wait_until(lambda: read(service, "http_requests_in_flight") == 1)
        assert service.api.get(PATH).status_code == 503


def exceed_body_memory(service: Service) -> None:
    """Send a large body while as many others as the service receives together are unfinished."""
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            client = socket.create_connection(("127.0.0.1", service.port))
            stack.enter_context(client).sendall(
                f"POST {PATH} HTTP/1.1\r\nHost: here\r\nContent-Length: 20000\r\n\r\n".encode()
            )
        wait_until(lambda: read(service, "http_requests_in_flight") == 64)
        assert service.api.post(PATH, content=b"x" * 20_000).status_code == 503
    assert read(service, "http_requests_rejected_total", reason="body_memory") == 1


@pytest.mark.parametrize(
    ("counter", "settings", "cause"),
    [
        ("http_unhandled_exceptions", {}, lambda s: s.api.get("/faults/raise/SystemExit")),
        ("http_responses_aborted", {}, abort_response),
        (
            "http_request_timeouts",
            {"SERVICE_REQUEST_TIMEOUT": 0.2},
            lambda s: s.api.get("/faults/sleep/9"),
        ),
        ("http_requests_rejected", {"SERVICE_CONCURRENCY_LIMIT": 1}, exceed_concurrency_limit),
        ("http_requests_rejected", {"SERVICE_MAX_BODY_BYTES": 20_000}, exceed_body_memory),
        ("slow_client_disconnects", {"SERVICE_HEADER_TIMEOUT": 0.3}, send_slowly),
        ("event_loop_stalls", {}, lambda s: s.api.get("/faults/block/1.3")),
    ],
)
def test_request_failures_increment_counters(
    start_service: StartService,
    counter: str,
    settings: dict[str, float],
    cause: Callable[[Service], object],
) -> None:
    service = start_service(**settings)
    name = f"{counter}_total"
    assert read(service, name) == 0
    cause(service)
    wait_until(lambda: read(service, name) == 1)


def test_requests_rejected_before_they_are_parsed_are_counted(start_service: StartService) -> None:
    service = start_service(SERVICE_CONCURRENCY_LIMIT=1)
    service.until_ready()
    with (
        socket.create_connection(("127.0.0.1", service.port)) as slow_client,
        httpx.Client(base_url=service.url) as client,
    ):
        slow_client.sendall(b"GET /faults/sleep/60 HTTP/1.1\r\nHost: here\r\n\r\n")
        wait_until(lambda: read(service, "http_requests_in_flight") == 1)
        answers = [client.get(PATH) for _ in range(10)]
    assert {answer.status_code for answer in answers} == {503}
    assert sum("date" not in answer.headers for answer in answers) >= 9
    assert read(service, "http_requests_rejected_total", reason="concurrency_limit") == 10
    assert read(service, REQUESTS, method="GET", route="other", status_code="503") == 10
    wait_until(lambda: sum(each["count"] for each in service.records("requests rejected")) == 10)


def test_background_task_failure_is_not_an_aborted_response(service: Service) -> None:
    assert service.api.post("/faults/background/0?fail=true").status_code == 200
    wait_until(lambda: read(service, "background_task_failures_total") == 1)
    assert read(service, "http_responses_aborted_total") == 0
    assert read(service, "http_unhandled_exceptions_total") == 0


def test_duration_ends_with_the_response_and_not_with_its_background_task(
    service: Service,
) -> None:
    route = {"method": "POST", "route": "/faults/background/{seconds}", "status_code": "200"}
    assert service.api.post("/faults/background/60").status_code == 200
    wait_until(lambda: read(service, REQUESTS, **route) == 1)
    assert (read(service, "http_request_duration_seconds_sum", **route) or 0) < 30
    wait_until(lambda: service.records("request"))
    [line] = [line for line in service.records("request") if line["path"].endswith("/60")]
    assert line["duration_ms"] < 30_000
    assert read(service, "http_requests_in_flight") == 0


async def test_metric_registered_with_prometheus_client_is_served() -> None:
    orders = prometheus_client.Counter("team_orders", "A metric of the team.")
    orders.inc()
    page = Metrics(ServiceInfo("orders", "1.0"), Registry(), Counters()).page
    transport = httpx.ASGITransport(page)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        text = (await client.get("/metrics")).text
    prometheus_client.REGISTRY.unregister(orders)
    assert "team_orders_total 1.0" in text
    assert 'health_load_score{service_id="orders"}' in text


def test_blocked_event_loop_increases_lag(service: Service) -> None:
    def has_late_heartbeat() -> bool:
        # Both numbers come from one scrape, because they grow between two.
        text = service.management.get("/metrics").text
        heartbeats = total(text, "event_loop_lag_seconds_count") or 0
        return heartbeats > (total(text, "event_loop_lag_seconds_bucket", le="0.5") or 0)

    service.api.get("/faults/block/0.8")
    wait_until(has_late_heartbeat)


def test_probes_and_checks_have_metrics(service: Service) -> None:
    checks = service.management.get("/health").json()["checks"]
    for check in checks:
        assert read(service, "health_check_status", check=check) == 1
        assert read(service, "health_check_stale", check=check) == 0
        assert (read(service, "health_check_attempts_total", check=check) or 0) >= 1
        assert read(service, "health_check_duration_seconds", check=check) is not None
    for probe in ("startup", "ready", "live"):
        assert read(service, "health_probe_status", probe=probe) == 1
    assert 5 <= (read(service, "health_check_interval_seconds") or 0) < 60  # by the load
    assert read(service, "health_draining") == 0


def test_accept_header_selects_openmetrics(service: Service) -> None:
    for accept in (OPENMETRICS, PROMETHEUS_2):
        response = service.management.get("/metrics", headers=accept)
        assert response.headers["content-type"].startswith("application/openmetrics-text")
        assert response.text.endswith("# EOF\n")
        families = list(openmetrics_families(response.text))  # type: ignore[no-untyped-call]
        assert len(families) > 20
    plain = service.management.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")


def test_service_port_has_no_metrics(service: Service) -> None:
    assert service.api.get("/metrics").status_code == 404


def test_documentation_lists_every_metric_of_service(service: Service) -> None:
    text = service.management.get("/metrics").text
    names = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    ours = {name for name in names if not name.startswith(("process_", "python_", "team_"))}
    document = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", document, re.MULTILINE)) == ours
