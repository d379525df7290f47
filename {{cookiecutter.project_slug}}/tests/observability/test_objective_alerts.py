"""Alerts on the objectives: failed and slow requests."""

import re
from pathlib import Path

import pytest

from .alerting import (
    DAY,
    HOUR,
    INSTANCE_A,
    MINUTE,
    Case,
    Scenario,
    Series,
    assert_fires_and_resolves,
    assert_ignores_blip,
    scenario,
)

BOUND = "1.0"  # feature: edge
BOUND = "0.2"  # feature: core
REQUESTS = "http_request_duration_seconds"
SUCCEEDED = f'{REQUESTS}_count{{{INSTANCE_A},status_code="200"}}'
FAILED = f'{REQUESTS}_count{{{INSTANCE_A},status_code="500"}}'
IN_TIME = f'{REQUESTS}_bucket{{{INSTANCE_A},status_code="200",le="{BOUND}"}}'
INFO = f"service_info{{{INSTANCE_A}}}"

# Each fault burns its budget a hundred times faster than allowed. The times below follow from that.
SOME_FAIL: Series = {SUCCEEDED: (100, 90), FAILED: (0, 10)}
ALL_ARE_SLOW: Series = {SUCCEEDED: (100, 100), IN_TIME: (100, 0)}
PAGE = {"severity": "page"}
TICKET = {"severity": "ticket"}
AVAILABILITY = {"symptom": "availability", "slo_target": "0.999"}
LATENCY = {"symptom": "latency", "slo_target": "0.99"}


def two_minutes(alert: str, labels: dict[str, str], series: Series) -> Case:
    return Case(
        alert,
        TICKET | labels,
        series,
        duration=5 * MINUTE,
        pending_after=MINUTE,
        firing_after=2 * MINUTE,
        resolved_after=2 * MINUTE,
        blip=(15, 45),
    )


def fast(alert: str, labels: dict[str, str], series: Series) -> Case:
    """Burn rate 14.4 over 1 hour. A fault of 8:38 uses up that much budget."""
    return Case(
        alert,
        PAGE | labels,
        series,
        history=HOUR,
        duration=15 * MINUTE,
        pending_after=9 * MINUTE,
        firing_after=10 * MINUTE,
        resolved_after=5 * MINUTE,
    )


def medium(alert: str, labels: dict[str, str], series: Series) -> Case:
    """Burn rate 6 over 6 hours. A fault of 21:36 uses up that much budget."""
    return Case(
        alert,
        PAGE | labels,
        series,
        history=6 * HOUR,
        duration=40 * MINUTE,
        pending_after=22 * MINUTE,
        firing_after=23 * MINUTE,
        resolved_after=29 * MINUTE,
    )


def slow(alert: str, labels: dict[str, str], series: Series) -> Case:
    """Burn rate 1 over 3 days. A fault of 43:12 uses up that much budget."""
    return Case(
        alert,
        TICKET | labels,
        series,
        history=3 * DAY,
        interval=5 * MINUTE,
        scrape=5 * MINUTE,
        duration=90 * MINUTE,
        pending_after=45 * MINUTE,
        firing_after=50 * MINUTE,
        resolved_after=6 * HOUR,
    )


CASES = [
    two_minutes("AvailabilityBelowObjective", AVAILABILITY, SOME_FAIL),
    two_minutes("LatencyAboveObjective", LATENCY, ALL_ARE_SLOW),
    fast("AvailabilityBudgetBurnFast", AVAILABILITY, SOME_FAIL),
    fast("LatencyBudgetBurnFast", LATENCY, ALL_ARE_SLOW),
    medium("AvailabilityBudgetBurnMedium", AVAILABILITY, SOME_FAIL),
    medium("LatencyBudgetBurnMedium", LATENCY, ALL_ARE_SLOW),
    slow("AvailabilityBudgetBurnSlow", AVAILABILITY, SOME_FAIL),
    slow("LatencyBudgetBurnSlow", LATENCY, ALL_ARE_SLOW),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)


@every_case
def test_alert_fires_after_second_breach_and_resolves(case: Case, tmp_path: Path) -> None:
    assert_fires_and_resolves(case, tmp_path)


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.alert)
def test_single_bad_minute_does_not_alert(case: Case, tmp_path: Path) -> None:
    assert_ignores_blip(case, tmp_path)


@pytest.mark.parametrize(
    ("objective", "alert", "series"),
    [
        (
            "availability",
            "AvailabilityBelowObjective",
            {SUCCEEDED: (1000, 999.5), FAILED: (0, 0.5)},
        ),
        ("latency", "LatencyAboveObjective", {SUCCEEDED: (1000, 1000), IN_TIME: (1000, 991)}),
    ],
)
def test_failures_within_objective_do_not_alert(
    objective: str, alert: str, series: Series, tmp_path: Path
) -> None:
    tested = scenario(
        Case(alert, {}, series, duration=0, firing_after=0, resolved_after=0), (600, 1200)
    )
    for at in range(600, 1201, 60):
        tested.expect_alert(alert, at, "", {})
    tested.run(tmp_path)


def test_first_failure_makes_alert_pending(tmp_path: Path) -> None:
    tested = Scenario({SUCCEEDED: "0+1x80", FAILED: "0x42 1x40"}, interval=MINUTE, scrape=15)
    labels = TICKET | AVAILABILITY
    tested.expect_alert("AvailabilityBelowObjective", 10 * MINUTE, "", {})
    tested.expect_alert("AvailabilityBelowObjective", 11 * MINUTE, "pending", labels)
    tested.expect_alert("AvailabilityBelowObjective", 12 * MINUTE, "", {})
    tested.run(tmp_path)


def test_no_requests_no_alert(tmp_path: Path) -> None:
    series = {SUCCEEDED: "100x80", FAILED: "7x80", IN_TIME: "50x80", INFO: "1x80"}
    tested = Scenario(series, interval=MINUTE, scrape=15)
    for at in (5 * MINUTE, 20 * MINUTE):
        tested.expect("ALERTS", at)
        tested.expect('{__name__=~"service:.+"}', at)
    tested.run(tmp_path)


PAGES = 'ALERTS{severity="page",alertstate="firing"}'


def test_one_failure_among_twelve_requests_an_hour_does_not_page(tmp_path: Path) -> None:
    """One request every five minutes; the one after 30 minutes gets a 500."""
    series = {SUCCEEDED: "0+1x24", FAILED: "0x6 1x18", IN_TIME: "0+1x24"}
    every_minute = {
        name: " ".join(value for value in expanded(values) for _ in range(20))
        for name, values in series.items()
    }
    tested = Scenario(every_minute | {INFO: "1x500"}, interval=MINUTE, scrape=15)
    tested.expect(f"count_over_time({PAGES}[2h])", 2 * HOUR)
    tested.run(tmp_path)


def expanded(values: str) -> list[str]:
    """Return the single values of promtool's notation."""
    found = []
    for part in values.split():
        start, _, step, count = re.fullmatch(r"(\d+)(\+(\d+))?x(\d+)", part).groups()  # type: ignore[union-attr]
        found += [str(int(start) + int(step or 0) * each) for each in range(int(count) + 1)]
    return found


def test_outage_of_service_with_few_requests_pages(tmp_path: Path) -> None:
    """Two requests a minute, and all of them fail."""
    series = {SUCCEEDED: "0x160", FAILED: "0+0.5x160"}
    tested = Scenario(series, interval=MINUTE, scrape=15)
    labels = PAGE | AVAILABILITY
    tested.expect_alert("AvailabilityBudgetBurnFast", 30 * MINUTE, "firing", labels)
    tested.run(tmp_path)


@pytest.mark.parametrize("bound", [BOUND, "10.0"], ids=["fast 5xx", "slow 5xx"])
def test_failed_requests_do_not_count_in_latency(bound: str, tmp_path: Path) -> None:
    """Half of the requests fail, and a tenth of the others are slow."""
    failed_in_time = IN_TIME.replace('"200"', '"500"').replace(BOUND, bound)
    series = {SUCCEEDED: "0+10x80", FAILED: "0+10x80", IN_TIME: "0+9x80", failed_in_time: "0+10x80"}
    tested = Scenario(series, interval=MINUTE, scrape=15)
    ratio = "service:requests_slow:ratio_rate5m"
    tested.expect(f"count(abs({ratio} - 0.1) < 0.001)", 15 * MINUTE, "{}")
    tested.run(tmp_path)
