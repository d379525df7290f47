"""A fault of the service reaches a person, by a real Prometheus and a real Alertmanager."""

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from ..processes import Service, wait_until
from .alerting import SERVICE
from .watch import WITHIN, Watch, watching


@pytest.fixture(scope="module")
def watch(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """Watch the service for all of the tests."""
    folder = tmp_path_factory.mktemp("watch")
    with watching(folder, Service(environment, folder / "service.log")) as watch:
        yield watch


def test_failing_requests_wake_somebody_who_learns_which_objective_is_in_danger(
    watch: Watch,
) -> None:
    def fail_and_look() -> object:
        watch.service.api.get("/faults/raise/ValueError")
        return watch.told.told("pager", "AvailabilityBudgetBurnFast")

    wait_until(fail_and_look, WITHIN)
    page = watch.told.told("pager", "AvailabilityBudgetBurnFast")
    assert page
    assert page["labels"] == {
        "alertname": "AvailabilityBudgetBurnFast",
        "service_id": SERVICE,
        "severity": "page",
        "slo_target": "0.999",
        "symptom": "availability",
    }
    assert page["annotations"]["runbook"] == "docs/runbook.md#availabilitybudgetburnfast"
    assert page["annotations"]["summary"].startswith(f"{SERVICE} fails so many requests")
    [groups] = {tuple(message["groupLabels"].items()) for message in watch.told.messages}
    assert groups == (("service_id", SERVICE),)


def test_a_response_that_breaks_off_waits_for_the_morning(watch: Watch) -> None:
    with contextlib.suppress(httpx.RemoteProtocolError):
        watch.service.api.get("/faults/break-off")
    wait_until(lambda: watch.told.told("ticket", "ResponsesAborted"), WITHIN)
    assert not watch.told.told("pager", "ResponsesAborted")


def test_a_service_that_falls_silent_wakes_somebody_until_it_is_back(watch: Watch) -> None:
    watch.service.process.pause()
    wait_until(lambda: watch.told.told("pager", "ServiceDown"), WITHIN)
    watch.service.process.resume()
    wait_until(lambda: watch.told.told("pager", "ServiceDown", "resolved"), WITHIN)
