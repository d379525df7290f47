"""Alerts on failing checks, on instances that are not ready, and on targets that are down."""

from pathlib import Path

import pytest

from .alerting import (
    INSTANCE_A,
    INSTANCE_B,
    MINUTE,
    SERVICE,
    Case,
    Scenario,
    Series,
    assert_fires_and_resolves,
    assert_ignores_blip,
    scenario,
)

CHECK = {"symptom": "health", "check": "db"}
READY_A = f'health_probe_status{{{INSTANCE_A},probe="ready"}}'
READY_B = f'health_probe_status{{{INSTANCE_B},probe="ready"}}'


def both_instances(metric: str, healthy: float | None, faulty: float | None) -> Series:
    labels = ',check="db"' if "check" in metric else ""
    return {f"{metric}{{{each}{labels}}}": (healthy, faulty) for each in (INSTANCE_A, INSTANCE_B)}


def case(alert: str, severity: str, labels: dict[str, str], series: Series, wait: int) -> Case:
    """Return the case of an alert on current values; wait: its `for`, in seconds."""
    return Case(
        alert,
        {"severity": severity} | labels,
        series,
        interval=15,
        duration=wait + MINUTE,
        pending_after=15,
        firing_after=15 + wait,
        resolved_after=15,
        blip=(0, 15),
    )


INSTANCE = {"instance": "a:9000"}
HEALTH, DOWN = {"symptom": "health"}, {"symptom": "down"}
ONE_NOT_READY: Series = {READY_A: (1, 0), READY_B: (1, 1)}
BOTH_NOT_READY: Series = {READY_A: (1, 0), READY_B: (1, 0)}
JOB = f'job="{SERVICE}"'
ONE_DOWN: Series = {
    f'up{{{JOB},instance="a:9000"}}': (1, 0),
    f'up{{{JOB},instance="b:9000"}}': (1, 1),
}
CASES = [
    case("HealthCheckFailing", "page", CHECK, both_instances("health_check_status", 1, 0), 15),
    case(
        "HealthCheckWarning",
        "ticket",
        CHECK,
        both_instances("health_check_status", 1, 0.5),
        15 * MINUTE,
    ),
    case("HealthCheckStale", "ticket", CHECK, both_instances("health_check_stale", 0, 1), 15),
    case("ServiceNotReady", "page", HEALTH, BOTH_NOT_READY, 15),
    case("InstanceNotReady", "ticket", HEALTH | INSTANCE, ONE_NOT_READY, 5 * MINUTE),
    case("ServiceDown", "page", DOWN, both_instances("service_info", 1, None), MINUTE),
    case(
        "InstanceDown",
        "ticket",
        DOWN | INSTANCE | {"job": SERVICE},
        ONE_DOWN,
        5 * MINUTE,
    ),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)


@every_case
def test_alert_fires_after_its_wait_and_resolves(case: Case, tmp_path: Path) -> None:
    assert_fires_and_resolves(case, tmp_path)


@every_case
def test_fault_in_single_scrape_does_not_alert(case: Case, tmp_path: Path) -> None:
    assert_ignores_blip(case, tmp_path)


def test_check_failing_on_one_of_two_instances_does_not_page(tmp_path: Path) -> None:
    one = case(
        "InstanceNotReady",
        "ticket",
        HEALTH | INSTANCE,
        {
            **ONE_NOT_READY,
            f'health_check_status{{{INSTANCE_A},check="db"}}': (1, 0),
            f'health_check_status{{{INSTANCE_B},check="db"}}': (1, 1),
            f"service_info{{{INSTANCE_A}}}": (1, 1),
        },
        wait=5 * MINUTE,
    )
    tested = scenario(one, (600, 1200))
    tested.expect_alert("InstanceNotReady", 1200, "firing", one.labels)
    tested.expect('ALERTS{severity="page"}', 1200)
    tested.run(tmp_path)


UP = f'up{{{JOB},instance="a:9000",namespace="production"}}'
INFO = f'service_info{{{INSTANCE_A},namespace="production"}}'
OTHER_INFO = f'service_info{{{INSTANCE_B},namespace="staging"}}'


@pytest.mark.parametrize(
    ("series", "namespace"),
    [
        ({UP: "0x80", OTHER_INFO: "1x80"}, "production"),
        ({UP: "1x40 stale", INFO: "1x40 stale", OTHER_INFO: "1x80"}, "production"),
        ({"up": "1x80"}, ""),
    ],
    ids=["targets down", "targets gone", "never scraped"],
)
def test_service_without_metrics_pages(
    series: dict[str, str], namespace: str, tmp_path: Path
) -> None:
    tested = Scenario(series, interval=15, scrape=15)
    labels = {"severity": "page"} | DOWN | ({"namespace": namespace} if namespace else {})
    tested.expect_alert("ServiceDown", 15 * MINUTE, "firing", labels)
    tested.run(tmp_path)


@pytest.mark.parametrize("first_scrape", [0, 1, 2, 3])
def test_start_of_prometheus_does_not_page(first_scrape: int, tmp_path: Path) -> None:
    """The rules are evaluated before the first scrape, which happens within one interval."""
    missing = f"_x{first_scrape} " if first_scrape else ""
    series = {UP: f"{missing}1x40", INFO: f"{missing}1x40"}
    tested = Scenario(series, interval=15, scrape=15)
    firing = 'ALERTS{alertname="ServiceDown",alertstate="firing"}'
    tested.expect(f"count_over_time({firing}[10m])", 10 * MINUTE)
    tested.run(tmp_path)
