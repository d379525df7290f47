"""Alerts on the process: event loop, exceptions, rejections, background tasks, log lines."""

from pathlib import Path

import pytest

from .alerting import (
    INSTANCE_A,
    INSTANCE_B,
    MINUTE,
    SERVICE,
    Case,
    Scenario,
    assert_fires_and_resolves,
    counter_case,
)

LAG = "event_loop_lag_seconds"
REJECTED = "http_requests_rejected_total"
FAILURES = "background_task_failures_total"
DROPPED = "log_lines_dropped_total"
TARGET = f'job="{SERVICE}",instance="a:9000"'
INFO = f'service_info{{{INSTANCE_A},job="{SERVICE}"}}'
CASES = [
    Case(
        "EventLoopLagHigh",
        {"severity": "ticket", "symptom": "event-loop", "instance": "a:9000"},
        {
            f"{LAG}_count{{{INSTANCE_A}}}": (150, 150),
            f'{LAG}_bucket{{{INSTANCE_A},le="0.1"}}': (150, 100),
            f"{LAG}_count{{{INSTANCE_B}}}": (150, 150),
            f'{LAG}_bucket{{{INSTANCE_B},le="0.1"}}': (150, 150),
        },
        duration=5 * MINUTE,
        pending_after=MINUTE,
        firing_after=2 * MINUTE,
        resolved_after=5 * MINUTE,
    ),
    counter_case("EventLoopBlocked", "event-loop", "event_loop_stalls_total"),
    counter_case("UnhandledExceptions", "unhandled-exceptions", "http_unhandled_exceptions_total"),
    counter_case(
        "UnhandledExceptionsHigh",
        "unhandled-exceptions",
        "http_unhandled_exceptions_total",
        severity="page",
    ),
    counter_case("ResponsesAborted", "aborted-responses", "http_responses_aborted_total"),
    Case(
        "RequestsRejected",
        {"severity": "ticket", "symptom": "overload"},
        {
            f'{REJECTED}{{{INSTANCE_A},reason="concurrency_limit"}}': (0, 1),
            f'{REJECTED}{{{INSTANCE_B},reason="concurrency_limit"}}': (0, 0),
        },
        duration=7 * MINUTE,
        pending_after=MINUTE,
        firing_after=6 * MINUTE,
        resolved_after=5 * MINUTE,
    ),
    Case(
        "BackgroundTaskFailures",
        {"severity": "ticket", "symptom": "background-tasks"},
        {f"{FAILURES}{{{INSTANCE_A}}}": (0, 1), f"{FAILURES}{{{INSTANCE_B}}}": (0, 0)},
        duration=12 * MINUTE,
        pending_after=MINUTE,
        firing_after=11 * MINUTE,
        resolved_after=5 * MINUTE,
    ),
    Case(
        "LogLinesDropped",
        {"severity": "ticket", "symptom": "logging"},
        {f"{DROPPED}{{{INSTANCE_A}}}": (0, 1), f"{DROPPED}{{{INSTANCE_B}}}": (0, 0)},
        duration=7 * MINUTE,
        pending_after=MINUTE,
        firing_after=6 * MINUTE,
        resolved_after=5 * MINUTE,
    ),
    Case(
        "FileDescriptorsNearLimit",
        {"severity": "ticket", "symptom": "descriptors", "instance": "a:9000"},
        {
            f"process_open_fds{{{TARGET}}}": (100, 900),
            f"process_max_fds{{{TARGET}}}": (1000, 1000),
            INFO: (1, 1),
        },
        duration=7 * MINUTE,
        pending_after=MINUTE,
        firing_after=6 * MINUTE,
        resolved_after=MINUTE,
    ),
    # The process is started again before each scrape.
    Case(
        "ProcessRestarting",
        {"severity": "ticket", "symptom": "restarts", "instance": "a:9000"},
        {f"process_start_time_seconds{{{TARGET}}}": (0, 1), INFO: (1, 1)},
        duration=5 * MINUTE,
        pending_after=MINUTE,
        firing_after=2 * MINUTE,
        resolved_after=15 * MINUTE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_alert_fires_after_second_breach_and_resolves(case: Case, tmp_path: Path) -> None:
    assert_fires_and_resolves(case, tmp_path)


def test_single_unhandled_exception_is_ticket_and_not_page(tmp_path: Path) -> None:
    series = {f"http_unhandled_exceptions_total{{{INSTANCE_A}}}": "0x42 1x40"}
    tested = Scenario(series, interval=MINUTE, scrape=15)
    labels = {"severity": "ticket", "symptom": "unhandled-exceptions"}
    tested.expect_alert("UnhandledExceptions", 12 * MINUTE, "firing", labels)
    tested.expect('ALERTS{symptom="unhandled-exceptions", severity="page"}', 12 * MINUTE)
    tested.run(tmp_path)


@pytest.mark.parametrize(("reason", "fires"), [("body_memory", True), ("circuit_open", False)])
def test_rejections_alert_unless_a_failing_check_explains_them(
    reason: str, fires: bool, tmp_path: Path
) -> None:
    series = {f'{REJECTED}{{{INSTANCE_A},reason="{reason}"}}': "0+20x80"}
    tested = Scenario(series, interval=MINUTE, scrape=15)
    if fires:
        labels = {"severity": "ticket", "symptom": "overload"}
        tested.expect_alert("RequestsRejected", 12 * MINUTE, "firing", labels)
    else:
        tested.expect('ALERTS{alertname="RequestsRejected"}', 12 * MINUTE)
    tested.run(tmp_path)


def test_single_background_task_failure_does_not_alert(tmp_path: Path) -> None:
    tested = Scenario({f"{FAILURES}{{{INSTANCE_A}}}": "0x42 1x80"}, interval=MINUTE, scrape=15)
    firing = 'ALERTS{alertname="BackgroundTaskFailures",alertstate="firing"}'
    tested.expect(f"count_over_time({firing}[30m])", 30 * MINUTE)
    tested.run(tmp_path)


@pytest.mark.parametrize(("starts", "state"), [(2, ""), (3, "firing")])
def test_second_restart_within_15_minutes_alerts(starts: int, state: str, tmp_path: Path) -> None:
    """An upgrade starts each process once."""
    began = " ".join(f"{number}x15" for number in range(1, starts + 1))
    series = {f"process_start_time_seconds{{{TARGET}}}": began, INFO: "1x80"}
    tested = Scenario(series, interval=MINUTE, scrape=15)
    labels = {"severity": "ticket", "symptom": "restarts", "instance": "a:9000"}
    tested.expect_alert("ProcessRestarting", 12 * MINUTE, state, labels)
    tested.run(tmp_path)
