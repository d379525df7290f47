"""Alerts on containers that Kubernetes has killed or restarted, from kube-state-metrics."""

from pathlib import Path

import pytest

from .alerting import MINUTE, SERVICE, Case, Scenario, Series, assert_fires_and_resolves

POD = f"shop-{SERVICE}-7d9f4b8c6-x2x9k"
CONTAINER = f'pod="{POD}",container="service"'
RESTARTS = f"kube_pod_container_status_restarts_total{{{CONTAINER}}}"
KILLED = f'kube_pod_container_status_last_terminated_reason{{{CONTAINER},reason="OOMKilled"}}'
LABELS = {"severity": "ticket", "pod": POD}
OUT_OF_MEMORY: Series = {RESTARTS: (0, 1), KILLED: (0, 1)}
CASES = [
    Case(
        "ContainerOutOfMemory",
        LABELS | {"symptom": "memory"},
        OUT_OF_MEMORY,
        duration=5 * MINUTE,
        pending_after=MINUTE,
        firing_after=2 * MINUTE,
        resolved_after=MINUTE,
    ),
    Case(
        "ContainerRestarting",
        LABELS | {"symptom": "restarts"},
        {RESTARTS: (0, 1)},
        duration=5 * MINUTE,
        pending_after=MINUTE,
        firing_after=2 * MINUTE,
        resolved_after=15 * MINUTE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_alert_fires_after_second_breach_and_resolves(case: Case, tmp_path: Path) -> None:
    assert_fires_and_resolves(case, tmp_path)


@pytest.mark.parametrize("pod", [f"{SERVICE}-admin-7d9f4b8c6-x2x9k", "other-7d9f4-x2x9k"])
def test_pod_of_another_workload_does_not_alert(pod: str, tmp_path: Path) -> None:
    series = {
        name.replace(POD, pod): values
        for name, values in {RESTARTS: "0+1x80", KILLED: "1x80"}.items()
    }
    tested = Scenario(series, interval=MINUTE, scrape=15)
    tested.expect('ALERTS{alertname=~"Container.+"}', 15 * MINUTE)
    tested.run(tmp_path)
