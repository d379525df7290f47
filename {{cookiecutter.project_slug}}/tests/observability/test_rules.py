"""All rules: Prometheus accepts them, and each alert has a test and a section in the runbook."""

import re
import subprocess
from pathlib import Path

from ..tools import tool
from .alerting import RULES, SERVICE

ROOT = RULES.parents[2]
TEXT = "\n".join(path.read_text() for path in sorted(RULES.glob("*.yaml")))
PARTS = ["Meaning", "Impact", "Diagnosis", "Fix"]
ALERTS = re.findall(r"^ +- alert: (\w+)$", TEXT, re.MULTILINE)


def promtool(*arguments: str | Path) -> None:
    command = [tool("promtool", package="prometheus"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_rules_and_example_configuration() -> None:
    promtool("check", "rules", "--lint-fatal", *RULES.glob("*.yaml"))
    promtool("check", "config", RULES.parent / "prometheus.yaml")


def test_alert_names_are_unique() -> None:
    assert sorted(set(ALERTS)) == sorted(ALERTS)
    assert len(ALERTS) >= 20


def test_every_alert_has_test_with_healthy_neighbors() -> None:
    """The first argument of a `Case` is its alert. Each case has two healthy namespaces."""
    tests = Path(__file__).parent.glob("test_*_alerts.py")
    tested = "\n".join(path.read_text() for path in tests)
    cases = r"\b(?:Case|case|counter_case|two_minutes|fast|medium|slow)\(\s*\"(\w+)\""
    assert set(ALERTS) - set(re.findall(cases, tested)) == set()


def test_every_alert_has_severity_symptom_and_summary() -> None:
    alerts = re.split(r"^ +- (?=alert: )", TEXT, flags=re.MULTILINE)[1:]
    for alert in alerts:
        assert re.search(r"labels: \{severity: (page|ticket), symptom: [\w-]+", alert), alert
        assert re.search(r'^ +summary: "[A-Z{].+\."$', alert, re.MULTILINE), alert


def test_every_selector_selects_own_service() -> None:
    """Other services in the same Prometheus have the same metrics, and rules of their own."""
    metric = (
        r"\b(?:service:|http_|health_|event_|kube_|nginx_|istio_|envoy_cluster_up|haproxy_|up\b)"
        r"[\w:]*+(?!\{)"
    )
    expressions = re.sub(r"^ *(#|- record:|summary:).*|\"[^\"]*\"", "", TEXT, flags=re.MULTILINE)
    assert re.findall(metric, expressions) == []
    selectors = re.findall(r"\{(?=\w+!?=)([^}]*)\}", TEXT)
    own = re.compile(rf'(service_id|job)="{SERVICE}"|\w=~"[^"]*{SERVICE}')
    assert [each for each in selectors if not own.search(each)] == []


def test_no_alert_fires_after_first_breach() -> None:
    """`for` is at least one evaluation interval, so two evaluations in a row are in breach."""
    seconds = {"s": 1, "m": 60}
    for group in TEXT.split("  - name: ")[1:]:
        interval, *waits = (
            int(number) * seconds[unit]
            for number, unit in re.findall(
                r"^ +(?:interval|for): (\d+)([sm])$", group, re.MULTILINE
            )
        )
        assert len(waits) == group.count("- alert: ")
        assert min(waits) >= interval


def test_runbook_has_exactly_one_section_per_alert() -> None:
    sections = re.findall(r"^## (\w+)", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(ALERTS)
    links = re.findall(r"^ +runbook_url: https://\S+/runbook\.md#(\w+)$", TEXT, re.MULTILINE)
    assert links == [alert.lower() for alert in ALERTS]


def test_runbook_sections_have_severity_and_four_parts() -> None:
    _, *sections = (ROOT / "docs" / "runbook.md").read_text().split("\n## ")
    severities = dict(re.findall(r"alert: (\w+)\n(?:.*\n)*?.*severity: (\w+)", TEXT))
    for section in sections:
        name = re.split(r"\W", section)[0]
        assert re.search(rf"^Severity: {severities[name]}\.", section, re.MULTILINE), name
        assert re.findall(r"^- \*\*(\w+)\*\*: [A-Z`*]", section, re.MULTILINE) == PARTS, name
