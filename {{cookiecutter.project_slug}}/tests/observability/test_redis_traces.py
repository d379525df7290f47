"""Redis in traces: spans of requests and checks."""

from ..conftest import StartService
from ..domain import NEW, PATH, ROUTE
from ..processes import wait_until
from .collector import Collector
from .tracing import TRACE_ID, TRACEPARENT, children, health_trace, start_with_traces


def test_commands_of_request_are_child_spans(
    start_service: StartService, collector: Collector
) -> None:
    service = start_with_traces(start_service, collector.url)
    item = service.api.post(PATH, json=NEW).json()
    service.api.get(f"{PATH}/{item['id']}", headers={"traceparent": TRACEPARENT})
    wait_until(lambda: f"GET {ROUTE}" in collector.trace(TRACE_ID))
    spans = [span for span in collector.spans if span.trace_id == TRACE_ID]
    commands = [
        span
        for span in children(spans, f"GET {PATH}")
        if span.attributes.get("db.system") == "redis"
    ]
    assert [span.name for span in commands][:1] == ["GET"]
    assert item["id"] not in str(commands[0].attributes)


def test_health_trace_has_commands_of_check(
    start_service: StartService, collector: Collector
) -> None:
    service = start_with_traces(start_service, collector.url)
    spans = health_trace(service, collector, "INFO", "DEL SET GET GET GET")
    [check] = [span for span in spans if span.name == "check redis"]
    assert (check.status, check.attributes["db.operation.name"]) == ("OK", "SET")
    assert [span.name for span in children(spans, "check redis")] == ["INFO", "DEL SET GET GET GET"]
