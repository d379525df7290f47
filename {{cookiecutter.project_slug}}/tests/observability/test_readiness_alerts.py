"""The objective on readiness: an outage of all instances uses up its error budget."""

from pathlib import Path

import pytest

from .alerting import (
    HOUR,
    INSTANCE_A,
    INSTANCE_B,
    MINUTE,
    Case,
    Scenario,
    Series,
    assert_fires_and_resolves,
)

READY_A = f'health_probe_status{{{INSTANCE_A},probe="ready"}}'
READY_B = f'health_probe_status{{{INSTANCE_B},probe="ready"}}'
LABELS = {"symptom": "health", "slo_target": "0.999"}
NOT_READY: Series = {READY_A: (1, 0), READY_B: (1, 0)}
GONE: Series = {READY_A: (1, None), READY_B: (1, None)}
CASES = [
    # Of 360 minutes, 2.16 are 0.6 %: three minutes are enough. It does not matter whether the
    # instances are not ready or gone.
    Case(
        "ReadinessBudgetBurnMedium",
        {"severity": "page"} | LABELS,
        GONE,
        duration=10 * MINUTE,
        pending_after=3 * MINUTE,
        firing_after=4 * MINUTE,
        resolved_after=31 * MINUTE,
    ),
    # Of three days, 4.32 minutes are 0.1 %, but of 6 hours they are more.
    Case(
        "ReadinessBudgetBurnSlow",
        {"severity": "ticket"} | LABELS,
        NOT_READY,
        duration=20 * MINUTE,
        pending_after=5 * MINUTE,
        firing_after=7 * MINUTE,
        resolved_after=6 * HOUR + MINUTE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_alert_fires_and_resolves(case: Case, tmp_path: Path) -> None:
    assert_fires_and_resolves(case, tmp_path)


@pytest.mark.parametrize("outage", ["0x79", "stale x79"], ids=["not ready", "gone"])
def test_outage_of_twenty_minutes_counts_as_twenty_of_360_minutes(
    outage: str, tmp_path: Path
) -> None:
    """No requests arrive meanwhile, so the objectives on responses see nothing."""
    requests = f'http_request_duration_seconds_count{{{INSTANCE_A},status_code="200"}}'
    series = {
        READY_A: f"1x1359 {outage} 1x40".replace("stale x79", "stale " + "_x78"),
        requests: "0+3000x1359 4080000x79 4080000+3000x40",
    }
    tested = Scenario(series, interval=MINUTE, scrape=15)
    at = 361 * MINUTE
    tested.expect("count(abs(service:unready:ratio_rate6h - 20 / 360) < 0.001)", at, "{}")
    tested.expect("service:requests_failed:ratio_rate6h > 0", at)
    tested.run(tmp_path)


def test_prometheus_that_has_just_started_does_not_alert(tmp_path: Path) -> None:
    """The first instance becomes ready within a minute. Unknown minutes count as ready."""
    tested = Scenario({READY_A: "_x3 0x1 1x80"}, interval=MINUTE, scrape=15)
    firing = 'ALERTS{alertname=~"Readiness.+",alertstate="firing"}'
    tested.expect(f"count_over_time({firing}[20m])", 20 * MINUTE)
    tested.run(tmp_path)


def test_one_ready_instance_of_two_uses_no_budget(tmp_path: Path) -> None:
    tested = Scenario({READY_A: "1x80", READY_B: "0x80"}, interval=MINUTE, scrape=15)
    tested.expect("service:unready:ratio_rate1h > 0", 20 * MINUTE)
    tested.run(tmp_path)
