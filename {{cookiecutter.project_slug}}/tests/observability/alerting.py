"""What an alert has to do while a fault comes and goes, proven by `promtool test rules`."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from ..tools import tool

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules"
SERVICE = "reference-service"
OURS = f'service_id="{SERVICE}"'
HERE = f'{OURS},instance="a:9000"'
THERE = f'{OURS},instance="b:9000"'
MINUTE, HOUR, DAY = 60, 3600, 86400
COUNTERS = ("_bucket", "_count", "_total")
Series = dict[str, tuple[float | None, float | None]]
"""How far a counter gets at each scrape, or what a gauge shows, healthy and broken; None: it is
not there."""


@dataclass(frozen=True)
class Case:
    """An alert, and a fault that it is about; all times are in seconds.

    labels: what it fires with, beside its name and the service's.
    lasts: how long the fault is there. It begins after `history` seconds of health.
    sees: after how long the first evaluation is in breach. fires: after how long the alert fires.
    gone: how long after the fault's end it does so no more.
    blip: begin and end of a fault that one single evaluation sees.
    interval: between evaluations, as the file of the rules says. scrape: between scrapes.
    """

    alert: str
    labels: dict[str, str]
    series: Series
    lasts: int
    fires: int
    gone: int
    sees: int = 0
    blip: tuple[int, int] | None = None
    history: int = 10 * MINUTE
    interval: int = MINUTE
    scrape: int = 15


@dataclass
class Scenario:
    """Series as they would be scraped, and what must be true of them, for promtool."""

    series: dict[str, str]
    interval: int
    scrape: int
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
        """Expect the alert to be `pending`, `firing`, or in no state at all."""
        sample = {"alertname": alert, "alertstate": state, "service_id": SERVICE}
        shown = ", ".join(f'{key}="{value}"' for key, value in (sample | labels).items())
        samples = [f"ALERTS{{{shown}}}"] if state else []
        self.expect(f'ALERTS{{alertname="{alert}"}}', at, *samples)

    def run(self, folder: Path, rules: Path = RULES) -> None:
        """Have promtool hold the rules to it."""
        test = {
            "interval": f"{self.scrape}s",
            "input_series": [{"series": k, "values": v} for k, v in self.series.items()],
            "promql_expr_test": self.expected,
        }
        everything = {
            "rule_files": sorted(map(str, rules.glob("*.yaml"))),
            "evaluation_interval": f"{self.interval}s",
            "group_eval_order": ["objectives", "objectives-of-days"],
            "tests": [test],
        }
        path = folder / "test.yaml"
        path.write_text(json.dumps(everything))  # which is YAML too
        command = [tool("promtool", package="prometheus"), "test", "rules", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def event(alert: str, symptom: str, counter: str, severity: str = "ticket") -> Case:
    """Give the case of an alert about what should never be: it is told of for five minutes."""
    labels = {"severity": severity, "symptom": symptom}
    series: Series = {f"{counter}{{{HERE}}}": (0, 10), f"{counter}{{{THERE}}}": (0, 0)}
    return Case(alert, labels, series, lasts=120, sees=60, fires=120, gone=300)


def scenario(case: Case, *faults: tuple[int, int], rest: int = 0) -> Scenario:
    """Let the fault of a case come and go: from when to when, and `rest` seconds of health."""
    end = max(until for _, until in faults) + rest
    times = range(0, end + 1, case.scrape)
    broken = [any(begin < time <= until for begin, until in faults) for time in times]
    series = {}
    for name, (healthy, faulty) in case.series.items():
        shown = [faulty if is_broken else healthy for is_broken in broken]
        if name.partition("{")[0].endswith(COUNTERS):
            total = 0.0
            shown = [total := total + (step or 0) for step in shown]
        series[name] = " ".join("stale" if value is None else f"{value:g}" for value in shown)
    return Scenario(series, case.interval, case.scrape)


def fires_and_resolves(case: Case, folder: Path) -> None:
    """Hold an alert to all that its case says."""
    begin, end = case.history, case.history + case.lasts
    told = scenario(case, (begin, end), rest=case.gone)
    for at, state in {
        begin: "",
        begin + case.sees - case.interval: "",
        begin + case.sees: "pending",
        begin + case.fires - case.interval: "pending",
        begin + case.fires: "firing",
        end: "firing",
        end + case.gone - case.interval: "firing",
        end + case.gone: "",
    }.items():
        told.expect_alert(case.alert, at, state, case.labels)
    told.run(folder)


def outlives_a_blip(case: Case, folder: Path) -> None:
    """Hold an alert to say nothing of a fault that one single evaluation has seen."""
    assert case.blip
    begin, end = (case.history + each for each in case.blip)
    told = scenario(case, (begin, end), rest=case.lasts)
    seen = f'count_over_time(ALERTS{{alertname="{case.alert}",alertstate="pending"}}[1h])'
    fired = f'ALERTS{{alertname="{case.alert}",alertstate="firing"}}'
    told.expect(f"count({seen} == 1)", end + case.lasts, "{}")
    told.expect(f"count_over_time({fired}[1h])", end + case.lasts)
    told.run(folder)
