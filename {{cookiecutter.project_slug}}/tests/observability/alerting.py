"""Tests alerting rules with `promtool test rules`: an alert's states during and after a fault."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from ..tools import tool

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules"
SERVICE = "reference-service"
SERVICE_LABEL = f'service_id="{SERVICE}"'
INSTANCE_A = f'{SERVICE_LABEL},instance="a:9000"'
INSTANCE_B = f'{SERVICE_LABEL},instance="b:9000"'
MINUTE, HOUR, DAY = 60, 3600, 86400
COUNTER_SUFFIXES = ("_bucket", "_count", "_total", "_start_time_seconds")
# A fault happens at the tenant. Its neighbors are healthy. Another service, with own rules, is not.
TENANT = {"cluster": "a", "namespace": "production"}
NEIGHBORS = ({"cluster": "a", "namespace": "staging"}, {"cluster": "b", "namespace": "production"})
Series = dict[str, tuple[float | None, float | None]]
"""Two values per series: healthy and faulty. A counter's value is its increase per scrape. None:
the series is absent."""


@dataclass(frozen=True)
class Case:
    """An alert, and a fault that must trigger it. All times are in seconds.

    labels: the labels of the firing alert, except its name and the service's.
    duration: length of the fault. It begins after `history` seconds of health.
    pending_after: time from the fault's begin to the first evaluation in breach.
    firing_after: time from the fault's begin until the alert fires.
    resolved_after: time from the fault's end until the alert is resolved.
    blip: begin and end of a fault that exactly one evaluation sees.
    interval: evaluation interval, as in the file of the rules. scrape: scrape interval.
    """

    alert: str
    labels: dict[str, str]
    series: Series
    duration: int
    firing_after: int
    resolved_after: int
    pending_after: int = 0
    blip: tuple[int, int] | None = None
    history: int = 10 * MINUTE
    interval: int = MINUTE
    scrape: int = 15


@dataclass
class Scenario:
    """Scraped series and the expectations about them, in the format of promtool."""

    series: dict[str, str]
    interval: int
    scrape: int
    tenant: dict[str, str] = field(default_factory=dict)
    expected: list[dict[str, object]] = field(default_factory=list)

    def expect(self, expression: str, at: int, *labels: str) -> None:
        """Expect series of value 1 with these labels from the expression at that second."""
        self.expected.append(
            {
                "expr": expression,
                "eval_time": f"{at}s",
                "exp_samples": [{"labels": each, "value": 1} for each in labels],
            }
        )

    def expect_alert(self, alert: str, at: int, state: str, labels: dict[str, str]) -> None:
        """Expect the alert to be `pending` or `firing`; an empty state means inactive."""
        sample = {"alertname": alert, "alertstate": state, "service_id": SERVICE} | self.tenant
        text = ", ".join(f'{key}="{value}"' for key, value in (sample | labels).items())
        samples = [f"ALERTS{{{text}}}"] if state else []
        self.expect(f'ALERTS{{alertname="{alert}"}}', at, *samples)

    def run(self, folder: Path, rules: Path = RULES) -> None:
        """Run promtool and fail if an expectation does not hold."""
        test = {
            "interval": f"{self.scrape}s",
            "input_series": [{"series": k, "values": v} for k, v in self.series.items()],
            "promql_expr_test": self.expected,
        }
        document = {
            "rule_files": sorted(map(str, rules.glob("*.yaml"))),
            "evaluation_interval": f"{self.interval}s",
            "group_eval_order": [
                *("objectives", "objectives-long-windows"),
                *("readiness", "readiness-long-windows"),
            ],
            "tests": [test],
        }
        path = folder / "test.yaml"
        path.write_text(json.dumps(document))  # JSON is also YAML
        command = [tool("promtool", package="prometheus"), "test", "rules", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def counter_case(alert: str, symptom: str, counter: str, severity: str = "ticket") -> Case:
    """Return the case of an alert on a counter that should not increase, seen for five minutes."""
    labels = {"severity": severity, "symptom": symptom}
    series: Series = {f"{counter}{{{INSTANCE_A}}}": (0, 10), f"{counter}{{{INSTANCE_B}}}": (0, 0)}
    return Case(
        alert, labels, series, duration=120, pending_after=60, firing_after=120, resolved_after=300
    )


def scenario(case: Case, *faults: tuple[int, int], healthy_after: int = 0) -> Scenario:
    """Return the series of a case with faults (begin, end) and a healthy period after them."""
    end = max(until for _, until in faults) + healthy_after
    times = range(0, end + 1, case.scrape)
    is_faulty = [any(begin < time <= until for begin, until in faults) for time in times]
    healthy = [False] * len(times)
    series = {}
    for name in case.series:
        series[_of(name, TENANT)] = _values(case, name, is_faulty)
        for neighbor in NEIGHBORS:
            series[_of(name, neighbor)] = _values(case, name, healthy)
        other = _of(name, TENANT).replace(SERVICE, "another-service")
        series[other] = _values(case, name, is_faulty)
    return Scenario(series, case.interval, case.scrape, TENANT)


def _of(series: str, tenant: dict[str, str]) -> str:
    """Return the name of a series with the labels of a tenant."""
    labels = "".join(f'{name}="{value}",' for name, value in tenant.items())
    return series.replace("{", "{" + labels)


def _values(case: Case, name: str, is_faulty: list[bool]) -> str:
    """Return the values of a series in the format of promtool."""
    healthy, faulty = case.series[name]
    values = [faulty if each else healthy for each in is_faulty]
    if name.partition("{")[0].endswith(COUNTER_SUFFIXES):
        total = 0.0
        values = [total := total + (step or 0) for step in values]
    return " ".join("stale" if value is None else f"{value:g}" for value in values)


def assert_fires_and_resolves(case: Case, folder: Path) -> None:
    """Check the state of the alert around each time that its case names."""
    begin, end = case.history, case.history + case.duration
    tested = scenario(case, (begin, end), healthy_after=case.resolved_after)
    for at, state in {
        begin: "",
        begin + case.pending_after - case.interval: "",
        begin + case.pending_after: "pending",
        begin + case.firing_after - case.interval: "pending",
        begin + case.firing_after: "firing",
        end: "firing",
        end + case.resolved_after - case.interval: "firing",
        end + case.resolved_after: "",
    }.items():
        tested.expect_alert(case.alert, at, state, case.labels)
    tested.run(folder)


def assert_ignores_blip(case: Case, folder: Path) -> None:
    """Check that a fault in a single evaluation makes the alert pending and never firing."""
    assert case.blip
    begin, end = (case.history + each for each in case.blip)
    tested = scenario(case, (begin, end), healthy_after=case.duration)
    pending = f'count_over_time(ALERTS{{alertname="{case.alert}",alertstate="pending"}}[1h])'
    firing = f'ALERTS{{alertname="{case.alert}",alertstate="firing"}}'
    tested.expect(f"count({pending} == 1)", end + case.duration, "{}")
    tested.expect(f"count_over_time({firing}[1h])", end + case.duration)
    tested.run(folder)
