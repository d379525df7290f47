"""Alerts on the objectives: what is told of failed and of slow requests, and when."""

from pathlib import Path

import pytest

from .alerting import (
    DAY,
    HERE,
    HOUR,
    MINUTE,
    Case,
    Scenario,
    Series,
    fires_and_resolves,
    outlives_a_blip,
    scenario,
)

BOUND = "1.0"  # feature: edge
BOUND = "0.2"  # feature: core
REQUESTS = "http_request_duration_seconds"
ANSWERED = f'{REQUESTS}_count{{{HERE},status_code="200"}}'
FAILED = f'{REQUESTS}_count{{{HERE},status_code="500"}}'
IN_TIME = f'{REQUESTS}_bucket{{{HERE},status_code="200",le="{BOUND}"}}'
INFO = f"service_info{{{HERE}}}"

# Each burns its budget a hundred times as fast as is allowed: the times below follow from that.
SOME_FAIL: Series = {ANSWERED: (100, 90), FAILED: (0, 10)}
ALL_ARE_SLOW: Series = {ANSWERED: (100, 100), IN_TIME: (100, 0)}
PAGE = {"severity": "page"}
TICKET = {"severity": "ticket"}
AVAILABILITY = {"symptom": "availability", "slo_target": "0.999"}
LATENCY = {"symptom": "latency", "slo_target": "0.99"}


def at_once(alert: str, labels: dict[str, str], series: Series) -> Case:
    return Case(
        alert,
        TICKET | labels,
        series,
        lasts=5 * MINUTE,
        sees=MINUTE,
        fires=2 * MINUTE,
        gone=2 * MINUTE,
        blip=(15, 45),
    )


def fast(alert: str, labels: dict[str, str], series: Series) -> Case:
    """14.4 times too fast over an hour: in 8:38 as much as that is spent."""
    return Case(
        alert,
        PAGE | labels,
        series,
        history=HOUR,
        lasts=15 * MINUTE,
        sees=9 * MINUTE,
        fires=10 * MINUTE,
        gone=5 * MINUTE,
    )


def steadily(alert: str, labels: dict[str, str], series: Series) -> Case:
    """6 times too fast over six hours: in 21:36."""
    return Case(
        alert,
        PAGE | labels,
        series,
        history=6 * HOUR,
        lasts=40 * MINUTE,
        sees=22 * MINUTE,
        fires=23 * MINUTE,
        gone=29 * MINUTE,
    )


def slowly(alert: str, labels: dict[str, str], series: Series) -> Case:
    """Too fast over three days: in 43:12."""
    return Case(
        alert,
        TICKET | labels,
        series,
        history=3 * DAY,
        interval=5 * MINUTE,
        scrape=5 * MINUTE,
        lasts=90 * MINUTE,
        sees=45 * MINUTE,
        fires=50 * MINUTE,
        gone=6 * HOUR,
    )


CASES = [
    at_once("AvailabilityBelowObjective", AVAILABILITY, SOME_FAIL),
    at_once("LatencyAboveObjective", LATENCY, ALL_ARE_SLOW),
    fast("AvailabilityBudgetBurnFast", AVAILABILITY, SOME_FAIL),
    fast("LatencyBudgetBurnFast", LATENCY, ALL_ARE_SLOW),
    steadily("AvailabilityBudgetBurnMedium", AVAILABILITY, SOME_FAIL),
    steadily("LatencyBudgetBurnMedium", LATENCY, ALL_ARE_SLOW),
    slowly("AvailabilityBudgetBurnSlow", AVAILABILITY, SOME_FAIL),
    slowly("LatencyBudgetBurnSlow", LATENCY, ALL_ARE_SLOW),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)


@every_case
def test_it_fires_at_the_second_breach_in_a_row_and_resolves(case: Case, tmp_path: Path) -> None:
    fires_and_resolves(case, tmp_path)


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.alert)
def test_one_bad_minute_is_no_alert(case: Case, tmp_path: Path) -> None:
    outlives_a_blip(case, tmp_path)


@pytest.mark.parametrize(
    ("objective", "alert", "series"),
    [
        ("availability", "AvailabilityBelowObjective", {ANSWERED: (1000, 999.5), FAILED: (0, 0.5)}),
        ("latency", "LatencyAboveObjective", {ANSWERED: (1000, 1000), IN_TIME: (1000, 991)}),
    ],
)
def test_what_the_objective_allows_is_no_breach(
    objective: str, alert: str, series: Series, tmp_path: Path
) -> None:
    told = scenario(Case(alert, {}, series, lasts=0, fires=0, gone=0), (600, 1200))
    for at in range(600, 1201, 60):
        told.expect_alert(alert, at, "", {})
    told.run(tmp_path)


def test_the_first_failure_ever_is_seen(tmp_path: Path) -> None:
    told = Scenario({ANSWERED: "0+1x80", FAILED: "0x42 1x40"}, interval=MINUTE, scrape=15)
    labels = TICKET | AVAILABILITY
    told.expect_alert("AvailabilityBelowObjective", 10 * MINUTE, "", {})
    told.expect_alert("AvailabilityBelowObjective", 11 * MINUTE, "pending", labels)
    told.expect_alert("AvailabilityBelowObjective", 12 * MINUTE, "", {})
    told.run(tmp_path)


def test_without_requests_there_is_no_breach(tmp_path: Path) -> None:
    series = {ANSWERED: "100x80", FAILED: "7x80", IN_TIME: "50x80", INFO: "1x80"}
    told = Scenario(series, interval=MINUTE, scrape=15)
    for at in (5 * MINUTE, 20 * MINUTE):
        told.expect("ALERTS", at)
        told.expect('{__name__=~"service:.+"}', at)
    told.run(tmp_path)
