"""The rules as a whole: Prometheus takes them, and each alert has a test and a section to read."""

import re
import subprocess
from pathlib import Path

from ..tools import tool
from .alerting import RULES

ROOT = RULES.parents[2]
TEXT = "\n".join(path.read_text() for path in sorted(RULES.glob("*.yaml")))
ALERTS = re.findall(r"^ +- alert: (\w+)$", TEXT, re.MULTILINE)


def promtool(*arguments: str | Path) -> None:
    command = [tool("promtool", package="prometheus"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules_and_the_example_that_loads_them() -> None:
    promtool("check", "rules", "--lint-fatal", *RULES.glob("*.yaml"))
    promtool("check", "config", RULES.parent / "prometheus.yaml")


def test_no_two_alerts_have_one_name() -> None:
    assert sorted(set(ALERTS)) == sorted(ALERTS)
    assert len(ALERTS) >= 20


def test_every_alert_is_held_to_a_fault() -> None:
    tests = Path(__file__).parent.glob("test_*_alerts.py")
    held = "\n".join(path.read_text() for path in tests)
    assert [alert for alert in ALERTS if f'"{alert}"' not in held] == []


def test_every_alert_says_how_urgent_it_is_about_what_and_in_a_sentence() -> None:
    alerts = re.split(r"^ +- (?=alert: )", TEXT, flags=re.MULTILINE)[1:]
    for alert in alerts:
        assert re.search(r"labels: \{severity: (page|ticket), symptom: [\w-]+", alert), alert
        assert re.search(r'^ +summary: "[A-Z{].+\."$', alert, re.MULTILINE), alert


def test_no_alert_fires_at_its_first_breach() -> None:
    """One that has held for an interval of evaluation was in breach twice in a row."""
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


def test_every_alert_leads_to_its_section_of_the_runbook_and_every_section_is_of_an_alert() -> None:
    sections = re.findall(r"^## (\w+)", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(ALERTS)
    links = re.findall(r"^ +runbook: docs/runbook\.md#(\w+)$", TEXT, re.MULTILINE)
    assert links == [alert.lower() for alert in ALERTS]


def test_every_section_of_the_runbook_says_where_to_look_and_what_to_do() -> None:
    _, *sections = (ROOT / "docs" / "runbook.md").read_text().split("\n## ")
    for section in sections:
        assert re.search(
            r"^(Page|Ticket)\. .+?^- Look: .+?^- Do: ", section, re.MULTILINE | re.DOTALL
        ), section
