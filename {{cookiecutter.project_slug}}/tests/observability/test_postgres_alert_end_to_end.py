"""A frozen database triggers a page, and the page and the dashboard name the check."""

from collections.abc import Iterator

import pytest

from dev.postgres import Postgres

from ..dependencies.postgres_server import migrate
from ..processes import Service, wait_until
from .alerting import SERVICE
from .test_dashboard import drawn
from .watch import ALERT_TIMEOUT, Watch, watching


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Run a database that a test can freeze."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        migrate(server)
        yield server


@pytest.fixture(scope="module")
def watch(
    environment: dict[str, str], postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watch]:
    """Run the chain with a service on that database."""
    folder = tmp_path_factory.mktemp("watch")
    service = Service(environment | {"DATABASE_URL": postgres.url}, folder / "service.log")
    with watching(folder, service) as watch:
        yield watch


def test_page_and_dashboard_name_check_of_frozen_database(watch: Watch, postgres: Postgres) -> None:
    postgres.pause()
    try:
        wait_until(lambda: watch.webhook.latest("pager", "HealthCheckFailing"), ALERT_TIMEOUT)
        # The page can be about another check of PostgreSQL, which failed a moment earlier.
        wait_until(lambda: drawn(watch.prometheus, "Check status")["postgres"] == 0)
        seconds = drawn(watch.prometheus, "Check duration")
    finally:
        postgres.resume()
    page = watch.webhook.latest("pager", "HealthCheckFailing")
    assert page
    assert page["labels"] == {
        "alertname": "HealthCheckFailing",
        "service_id": SERVICE,
        "check": page["labels"]["check"],
        "severity": "page",
        "symptom": "health",
    }
    assert page["labels"]["check"].startswith("postgres")
    slowest = max(seconds, key=lambda check: seconds[check])
    assert slowest.startswith("postgres")
    wait_until(
        lambda: watch.webhook.latest("pager", "HealthCheckFailing", "resolved"), ALERT_TIMEOUT
    )
