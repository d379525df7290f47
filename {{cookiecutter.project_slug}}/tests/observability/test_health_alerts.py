"""Alerts on the probes: what is told of failing checks and of instances that are not ready."""

from pathlib import Path

import pytest

from .alerting import (
    HERE,
    MINUTE,
    SERVICE,
    THERE,
    Case,
    Series,
    fires_and_resolves,
    outlives_a_blip,
    scenario,
)

CHECK = {"symptom": "health", "check": "db"}
HERE_READY = f'health_probe_status{{{HERE},probe="ready"}}'
THERE_READY = f'health_probe_status{{{THERE},probe="ready"}}'


def of_both(metric: str, healthy: float | None, broken: float | None) -> Series:
    labels = ',check="db"' if "check" in metric else ""
    return {f"{metric}{{{where}{labels}}}": (healthy, broken) for where in (HERE, THERE)}


def case(alert: str, severity: str, labels: dict[str, str], series: Series, waits: int) -> Case:
    """Give the case of an alert that looks at the moment, and waits so long."""
    return Case(
        alert,
        {"severity": severity} | labels,
        series,
        interval=15,
        lasts=waits + MINUTE,
        sees=15,
        fires=15 + waits,
        gone=15,
        blip=(0, 15),
    )


INSTANCE = {"instance": "a:9000"}
HEALTH, SILENCE = {"symptom": "health"}, {"symptom": "silence"}
ONE_UNREADY: Series = {HERE_READY: (1, 0), THERE_READY: (1, 1)}
BOTH_UNREADY: Series = {HERE_READY: (1, 0), THERE_READY: (1, 0)}
JOB = f'job="{SERVICE}"'
ONE_AWAY: Series = {
    f'up{{{JOB},instance="a:9000"}}': (1, 0),
    f'up{{{JOB},instance="b:9000"}}': (1, 1),
}
CASES = [
    case("HealthCheckFailing", "page", CHECK, of_both("health_check_status", 1, 0), 15),
    case(
        "HealthCheckWarning", "ticket", CHECK, of_both("health_check_status", 1, 0.5), 15 * MINUTE
    ),
    case("HealthCheckStale", "ticket", CHECK, of_both("health_check_stale", 0, 1), 15),
    case("ServiceNotReady", "page", HEALTH, BOTH_UNREADY, 15),
    case("InstanceNotReady", "ticket", HEALTH | INSTANCE, ONE_UNREADY, 5 * MINUTE),
    case("ServiceDown", "page", SILENCE, of_both("service_info", 1, None), 15),
    case(
        "InstanceDown",
        "ticket",
        SILENCE | INSTANCE | {"job": SERVICE},
        ONE_AWAY,
        5 * MINUTE,
    ),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)


@every_case
def test_it_fires_when_it_has_been_so_for_long_enough_and_resolves(
    case: Case, tmp_path: Path
) -> None:
    fires_and_resolves(case, tmp_path)


@every_case
def test_what_one_scrape_alone_has_seen_is_no_alert(case: Case, tmp_path: Path) -> None:
    outlives_a_blip(case, tmp_path)


def test_a_check_that_fails_on_one_instance_of_two_pages_nobody(tmp_path: Path) -> None:
    one = case(
        "InstanceNotReady",
        "ticket",
        HEALTH | INSTANCE,
        {
            **ONE_UNREADY,
            f'health_check_status{{{HERE},check="db"}}': (1, 0),
            f'health_check_status{{{THERE},check="db"}}': (1, 1),
            f"service_info{{{HERE}}}": (1, 1),
        },
        waits=5 * MINUTE,
    )
    told = scenario(one, (600, 1200))
    told.expect_alert("InstanceNotReady", 1200, "firing", one.labels)
    told.expect('ALERTS{severity="page"}', 1200)
    told.run(tmp_path)
