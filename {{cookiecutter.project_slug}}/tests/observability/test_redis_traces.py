"""Redis in traces: what requests and checks ask it."""

from ..conftest import StartService
from ..processes import wait_until
from .collector import Collector
from .tracing import CALLER, TRACE, below, health_trace, traced


def test_a_requests_commands_are_spans_below_it(
    start_service: StartService, collector: Collector
) -> None:
    service = traced(start_service, collector.url)
    item = service.api.post("/items", json={"name": "Lamp"}).json()
    service.api.get(f"/items/{item['id']}", headers={"traceparent": CALLER})
    wait_until(lambda: "GET /items/{item_id}" in collector.trace(TRACE))
    spans = [span for span in collector.spans if span.trace_id == TRACE]
    commands = [
        span for span in below(spans, "GET /items") if span.attributes.get("db.system") == "redis"
    ]
    assert [span.name for span in commands][:1] == ["GET"]
    assert item["id"] not in str(commands[0].attributes)


def test_a_health_trace_shows_what_the_check_asks(
    start_service: StartService, collector: Collector
) -> None:
    spans = health_trace(traced(start_service, collector.url), collector, "PING", "INFO")
    [check] = [span for span in spans if span.name == "check redis"]
    assert (check.status, check.attributes["db.operation.name"]) == ("OK", "PING")
    assert [span.name for span in below(spans, "check redis")][:2] == ["PING", "INFO"]
