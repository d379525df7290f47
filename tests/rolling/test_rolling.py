"""A rolling deployment of a generated service loses no requests. Only frozen processes restart.

The probe periods, the grace period and all other times are those that the chart renders.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from chart.helm import Chart
from project import generate_in
from supervised import SupervisedProcesses

from tools.generate import ROOT, environment, set_up

from .clock import ENDPOINT_PROPAGATION, scaled

pytestmark = pytest.mark.service

DETECTION = 5 + 3 * 0.5 + 0.3
"""Seconds until an idle service detects a failure: one interval, three timeouts, back-off."""
RECOVERY = 2.0
TOLERANCE = 1.5
"""Extra seconds for a busy machine."""
SCENARIO_TIMEOUT = 600.0
"""Seconds for one scenario: the longest takes about one minute."""

Results = dict[str, Any]


class DeployedService:
    """A generated service with its packages, and the pod from its chart."""

    def __init__(self, folder: Path) -> None:
        self.service = generate_in(folder)
        set_up(self.service)
        objects = Chart(self.service / "deploy" / "chart").objects()
        (self.deployment,) = (each for each in objects if each["kind"] == "Deployment")
        spec = self.deployment["spec"]["template"]["spec"]
        source = spec["containers"][0]["envFrom"][0]["configMapRef"]["name"]
        (settings,) = (
            each["data"]
            for each in objects
            if each["kind"] == "ConfigMap" and each["metadata"]["name"] == source
        )
        self.pod = folder / "pod.json"
        self.pod.write_text(json.dumps({"spec": spec, "settings": settings}), "utf-8")

    def run(self, scenario: str) -> Results:
        """Run a scenario of `rolling.__main__`, and return its results."""
        python = self.service / ".venv" / "bin" / "python"
        with SupervisedProcesses() as processes:
            process = processes.start(
                [str(python), "-m", "rolling", scenario, str(self.pod)],
                cwd=self.service,
                env=environment() | {"PYTHONPATH": str(ROOT / "tests")},
            )
            output, _ = process.communicate(timeout=SCENARIO_TIMEOUT)
        assert process.returncode == 0
        results: Results = json.loads(output)
        print(json.dumps(results, indent=1))  # noqa: T201 - pytest shows it when a test fails
        return results


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> DeployedService:
    return DeployedService(tmp_path_factory.mktemp("rolling"))


@pytest.fixture(scope="module")
def rolled(deployed: DeployedService) -> Results:
    return deployed.run("with-drain")


@pytest.fixture(scope="module")
def frozen(deployed: DeployedService) -> Results:
    return deployed.run("frozen")


def test_chart_has_the_rolling_strategy_of_these_tests(deployed: DeployedService) -> None:
    assert deployed.deployment["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
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
    results = deployed.run("without-drain")
    expected = "reads on new connections: ConnectionRefused"
    assert any(expected in failure for failure in results["failures"])


def test_frozen_database_removes_all_endpoints_and_restarts_no_process(frozen: Results) -> None:
    routing_delay = scaled(5) + ENDPOINT_PROPAGATION
    assert frozen["detected_after"] < DETECTION + routing_delay + TOLERANCE
    assert set(frozen["live_codes"]) == {200}
    assert frozen["recovered_after"] < RECOVERY + routing_delay + TOLERANCE
    assert (frozen["restarts"], frozen["same_processes"]) == (0, True)


def test_frozen_process_is_killed_and_restarted(frozen: Results) -> None:
    assert frozen["frozen_pod_restarts"] == 1
    assert frozen["frozen_pod_kills"] == 1
    assert frozen["other_pod_restarts"] == 0
