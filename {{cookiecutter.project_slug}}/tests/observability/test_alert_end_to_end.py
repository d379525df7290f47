"""A fault of the service reaches a receiver through a real Prometheus and Alertmanager."""

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from ..processes import Service, wait_until
from .alerting import SERVICE
from .watch import ALERT_TIMEOUT, Watch, watching


@pytest.fixture(scope="module")
def watch(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """Run the chain for all tests."""
    folder = tmp_path_factory.mktemp("watch")
    with watching(folder, Service(environment, folder / "service.log")) as watch:
        yield watch


def test_failing_requests_page_with_objective_and_runbook(watch: Watch) -> None:
    def fail_and_get_page() -> object:
        watch.service.api.get("/faults/raise/ValueError")
        return watch.webhook.latest("pager", "AvailabilityBudgetBurnFast")

    wait_until(fail_and_get_page, ALERT_TIMEOUT)
    page = watch.webhook.latest("pager", "AvailabilityBudgetBurnFast")
    assert page
    assert page["labels"] == {
        "alertname": "AvailabilityBudgetBurnFast",
        "service_id": SERVICE,
        "severity": "page",
        "slo_target": "0.999",
        "symptom": "availability",
    }
    url = page["annotations"]["runbook_url"]
    assert url.startswith(f"https://runbooks.example/{SERVICE}/")
    assert url.endswith("/runbook.md#availabilitybudgetburnfast")
    assert page["annotations"]["summary"].startswith(f"{SERVICE} fails so many requests")
    [groups] = {tuple(message["groupLabels"].items()) for message in watch.webhook.messages}
    assert groups == (("service_id", SERVICE),)


def test_aborted_response_is_ticket_and_not_page(watch: Watch) -> None:
    with contextlib.suppress(httpx.RemoteProtocolError):
        watch.service.api.get("/faults/break-off")
    wait_until(lambda: watch.webhook.latest("ticket", "ResponsesAborted"), ALERT_TIMEOUT)
    assert not watch.webhook.latest("pager", "ResponsesAborted")


def test_unresponsive_service_pages_until_it_recovers(watch: Watch) -> None:
    watch.service.process.pause()
    wait_until(lambda: watch.webhook.latest("pager", "ServiceDown"), ALERT_TIMEOUT)
    watch.service.process.resume()
    wait_until(lambda: watch.webhook.latest("pager", "ServiceDown", "resolved"), ALERT_TIMEOUT)
