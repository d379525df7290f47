"""A rolling deployment of a generated service loses no requests. Only frozen processes restart.

The probe periods, the grace period and all other times are those that the chart renders.
"""

import pytest

from .clock import ENDPOINT_PROPAGATION, scaled
from .deployed_service import DeployedService, Results

pytestmark = pytest.mark.service

DETECTION = 5 + 3 * 0.5 + 0.3
"""Seconds until an idle service detects a failure: one interval, three timeouts, back-off."""
RECOVERY = 2.0
TOLERANCE = 1.5
"""Extra seconds for a busy machine."""


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> DeployedService:
    return DeployedService(tmp_path_factory.mktemp("rolling"))


@pytest.fixture(scope="module")
def rolled(deployed: DeployedService) -> Results:
    return deployed.run("rolling", "with-drain")


@pytest.fixture(scope="module")
def frozen(deployed: DeployedService) -> Results:
    return deployed.run("rolling", "frozen")


def test_chart_has_the_rolling_strategy_of_these_tests(deployed: DeployedService) -> None:
    assert deployed.deployment["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0},  # of 2 replicas: one
    }


def test_rolling_update_loses_no_requests(rolled: Results) -> None:
    assert rolled["failures"] == []
    assert sum(rolled["requests"].values()) > 2000
    assert all(rolled["requests"].values())
    assert rolled["retried"] < 3  # a request and a close must happen at the same moment


def test_items_written_during_a_rolling_update_are_stored_exactly_once(rolled: Results) -> None:
    assert rolled["created"] > 500
    assert (rolled["missing"], rolled["duplicates"]) == ([], [])


def test_replaced_processes_exit_with_status_0_within_the_grace_period(rolled: Results) -> None:
    assert rolled["exit_statuses"] == [0] * 21
    assert (rolled["kills"], rolled["restarts"]) == (0, 0)


def test_rolling_update_never_reduces_the_number_of_endpoints(rolled: Results) -> None:
    assert rolled["min_endpoints"] == 3


def test_rolling_update_without_drain_loses_requests(deployed: DeployedService) -> None:
    results = deployed.run("rolling", "without-drain")
    expected = "reads on new connections: ConnectionRefused"
    assert any(expected in failure for failure in results["failures"])


def test_frozen_database_removes_all_endpoints_and_restarts_no_process(frozen: Results) -> None:
    routing_delay = scaled(5) + scaled(ENDPOINT_PROPAGATION)
    assert frozen["detected_after"] < DETECTION + routing_delay + TOLERANCE
    assert set(frozen["live_codes"]) == {200}
    assert frozen["recovered_after"] < RECOVERY + routing_delay + TOLERANCE
    assert (frozen["restarts"], frozen["same_processes"]) == (0, True)


def test_frozen_process_is_killed_and_restarted(frozen: Results) -> None:
    assert frozen["frozen_pod_restarts"] == 1
    assert frozen["frozen_pod_kills"] == 1
    assert frozen["other_pod_restarts"] == 0


def test_release_that_cannot_log_in_to_the_database_replaces_no_replica(
    deployed: DeployedService,
) -> None:
    results = deployed.run("rolling", "broken-release")
    assert (results["replaced"], results["min_endpoints"]) == (0, 3)
    assert results["failures"] == []
    assert results["restarts"] == 0


def test_the_same_release_with_impact_warn_replaces_every_replica(
    deployed: DeployedService,
) -> None:
    results = deployed.run("rolling", "broken-release-that-warns")
    assert results["replaced"] == 3
    assert results["failures_later"] == results["requests_later"] > 0
