"""PostgreSQL in traces: what requests and checks ask it, and that it is named when it is slow."""

from collections.abc import Iterator

import pytest

from dev.postgres import Postgres

from ..conftest import StartService
from ..processes import Service, wait_until
from ..service.test_postgres_faults import migrate
from .collector import Collector
from .tracing import CALLER, TRACE, below, health_trace, trace_while_frozen, traced


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A database that the tests here break; each mends what it broke. It logs all that it does."""
    folder = tmp_path_factory.mktemp("postgres")
    with Postgres(folder, settings={"log_statement": "all"}) as server:
        migrate(server)
        yield server


@pytest.fixture
def service(start_service: StartService, collector: Collector, postgres: Postgres) -> Service:
    """The service on that database."""
    return traced(start_service, collector.url, DATABASE_URL=postgres.url)


def test_a_requests_statements_are_spans_below_it(service: Service, collector: Collector) -> None:
    service.api.post("/items", json={"name": "Lamp"}, headers={"traceparent": CALLER})
    wait_until(lambda: "POST /items" in collector.trace(TRACE))
    spans = list(collector.trace(TRACE).values())
    [insert] = [span for span in below(spans, "POST /items") if span.name == "INSERT"]
    assert insert.attributes["db.system"] == "postgresql"
    assert "Lamp" not in str(insert.attributes)


def test_the_server_is_told_which_trace_a_check_belongs_to(
    service: Service, collector: Collector, postgres: Postgres
) -> None:
    spans = health_trace(service, collector, "SELECT")
    [check] = [span for span in spans if span.name == "check postgres"]
    assert check.attributes["db.system.name"] == "postgresql"
    assert check.attributes["db.operation.name"] == "SELECT"
    comment = f"/*traceparent='00-{check.trace_id}-{check.span_id}-0"
    assert comment in postgres.log.read_text(errors="replace")
    assert {span.name for span in below(spans, "check ")} >= {"SELECT"}


def test_a_frozen_database_is_the_root_cause(
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
