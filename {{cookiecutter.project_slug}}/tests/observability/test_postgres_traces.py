"""PostgreSQL in traces: spans of requests and checks, and of a frozen database."""

from collections.abc import Iterator

import pytest

from dev.postgres import Postgres

from ..conftest import StartService
from ..dependencies.postgres_server import migrate
from ..domain import NEW, PATH
from ..processes import Service, wait_until
from .collector import Collector
from .tracing import (
    TRACE_ID,
    TRACEPARENT,
    children,
    health_trace,
    start_with_traces,
    trace_while_frozen,
)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Run a database that logs all statements. A test that freezes it must resume it."""
    folder = tmp_path_factory.mktemp("postgres")
    with Postgres(folder, settings={"log_statement": "all"}) as server:
        migrate(server)
        yield server


@pytest.fixture
def service(start_service: StartService, collector: Collector, postgres: Postgres) -> Service:
    """Start a service on that database that sends traces."""
    return start_with_traces(start_service, collector.url, DATABASE_URL=postgres.url)


def test_statements_of_request_are_child_spans(service: Service, collector: Collector) -> None:
    service.api.post(PATH, json=NEW, headers={"traceparent": TRACEPARENT})
    wait_until(lambda: f"POST {PATH}" in collector.trace(TRACE_ID))
    spans = list(collector.trace(TRACE_ID).values())
    [insert] = [span for span in children(spans, f"POST {PATH}") if span.name == "INSERT"]
    assert insert.attributes["db.system"] == "postgresql"
    assert NEW["name"] not in str(insert.attributes)


def test_sql_of_check_has_trace_context_in_comment(
    service: Service, collector: Collector, postgres: Postgres
) -> None:
    spans = health_trace(service, collector, "SELECT")
    [check] = [span for span in spans if span.name == "check postgres"]
    assert check.attributes["db.system.name"] == "postgresql"
    assert check.attributes["db.operation.name"] == "SELECT"
    comment = f"/*traceparent='00-{check.trace_id}-{check.span_id}-0"
    assert comment in postgres.log.read_text(errors="replace")
    assert {span.name for span in children(spans, "check ")} >= {"SELECT"}


def test_frozen_database_fails_only_its_own_span(
    service: Service, collector: Collector, postgres: Postgres
) -> None:
    spans = trace_while_frozen(postgres, service, collector)
    assert spans["check postgres"].status == "ERROR"
    assert spans["check postgres"].attributes["error.type"] == "TimeoutError"
    assert spans["check postgres.pool"].status == "OK"
    root = spans["GET /health/ready"]
    assert root.status == "ERROR"
    assert root.attributes["http.response.status_code"] == 504
    assert "postgres: TimeoutError" in root.attributes["health.failures"]
