"""Alerts on the process: what is told of a late event loop, and of handlers that panic."""

from pathlib import Path

import pytest

from .alerting import (
    HERE,
    MINUTE,
    THERE,
    Case,
    Scenario,
    event,
    fires_and_resolves,
)

LAG = "event_loop_lag_seconds"
CASES = [
    Case(
        "EventLoopLagHigh",
        {"severity": "ticket", "symptom": "loop", "instance": "a:9000"},
        {
            f"{LAG}_count{{{HERE}}}": (150, 150),
            f'{LAG}_bucket{{{HERE},le="0.1"}}': (150, 100),
            f"{LAG}_count{{{THERE}}}": (150, 150),
            f'{LAG}_bucket{{{THERE},le="0.1"}}': (150, 150),
        },
        lasts=5 * MINUTE,
        sees=MINUTE,
        fires=2 * MINUTE,
        gone=5 * MINUTE,
    ),
    event("EventLoopBlocked", "loop", "event_loop_stalls_total"),
    event("UnhandledExceptions", "panics", "http_unhandled_exceptions_total"),
    event("UnhandledExceptionsHigh", "panics", "http_unhandled_exceptions_total", "page"),
    event("ResponsesAborted", "broken-responses", "http_responses_aborted_total"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_it_fires_at_the_second_breach_in_a_row_and_resolves(case: Case, tmp_path: Path) -> None:
    fires_and_resolves(case, tmp_path)


def test_one_panic_is_a_ticket_and_no_page(tmp_path: Path) -> None:
    panics = f"http_unhandled_exceptions_total{{{HERE}}}"
    told = Scenario({panics: "0x42 1x40"}, interval=MINUTE, scrape=15)
    labels = {"severity": "ticket", "symptom": "panics"}
    told.expect_alert("UnhandledExceptions", 12 * MINUTE, "firing", labels)
    told.expect('ALERTS{symptom="panics", severity="page"}', 12 * MINUTE)
    told.run(tmp_path)
