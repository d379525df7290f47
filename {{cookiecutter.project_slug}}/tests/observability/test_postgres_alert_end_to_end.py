"""A frozen database wakes somebody, and both the page and the dashboard name it."""

from collections.abc import Iterator

import pytest

from dev.postgres import Postgres

from ..processes import Service, wait_until
from ..service.test_postgres_faults import migrate
from .alerting import SERVICE
from .test_dashboard import drawn
from .watch import WITHIN, Watch, watching


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A database to freeze."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        migrate(server)
        yield server


@pytest.fixture(scope="module")
def watch(
    environment: dict[str, str], postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watch]:
    """Watch the service on that database."""
    folder = tmp_path_factory.mktemp("watch")
    service = Service(environment | {"DATABASE_URL": postgres.url}, folder / "service.log")
    with watching(folder, service) as watch:
        yield watch


def test_a_frozen_database_is_named_by_the_page_and_by_the_dashboard(
    watch: Watch, postgres: Postgres
) -> None:
    postgres.pause()
    try:
        wait_until(lambda: watch.told.told("pager", "HealthCheckFailing"), WITHIN)
        status = drawn(watch.prometheus, "Checks")
        seconds = drawn(watch.prometheus, "Duration of checks")
    finally:
        postgres.resume()
    page = watch.told.told("pager", "HealthCheckFailing")
    assert page
    assert page["labels"] == {
        "alertname": "HealthCheckFailing",
        "service_id": SERVICE,
        "check": page["labels"]["check"],
        "severity": "page",
        "symptom": "health",
    }
    assert page["labels"]["check"].startswith("postgres")
    assert status["postgres"] == 0
    slowest = max(seconds, key=lambda check: seconds[check])
    assert slowest.startswith("postgres")
    wait_until(lambda: watch.told.told("pager", "HealthCheckFailing", "resolved"), WITHIN)
