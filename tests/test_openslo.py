"""The OpenSLO document has the objectives, expressions, windows and severities of the rules."""

import re
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import TEMPLATE, Generate

Object = dict[str, Any]
# The recording rules of each objective, without their window.
INDICATORS = {
    "availability": "service:requests_failed:ratio_rate",
    "latency": "service:requests_slow:ratio_rate",
    "readiness": "service:unready:ratio_rate",
    "edge-availability": "service:edge_failed:ratio_rate",
}
BURN = re.compile(r"(\S+)\{[^}]*\} > ([\d.]+) \* \(1 - ([\d.]+)\)")
MINUTES = {"5m": 5, "30m": 30, "1h": 60, "6h": 360, "3d": 4320}


class Monitoring:
    """The rules and the OpenSLO document of a service."""

    def __init__(self, service: Path) -> None:
        self.deploy = service / "deploy"

    @cached_property
    def rules(self) -> list[Object]:
        files = (self.deploy / "prometheus" / "rules").glob("*.yaml")
        groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
        return [rule for group in groups for rule in group["rules"]]

    @cached_property
    def objects(self) -> list[Object]:
        return list(yaml.safe_load_all((self.deploy / "openslo.yaml").read_text("utf-8")))

    @property
    def budget_alerts(self) -> list[Object]:
        return [rule for rule in self.rules if "BudgetBurn" in rule.get("alert", "")]

    def specs(self, kind: str) -> dict[str, Object]:
        return {
            each["metadata"]["name"]: each["spec"] for each in self.objects if each["kind"] == kind
        }


@pytest.fixture(params=["template", "core", "edge without kubernetes"])
def monitoring(request: pytest.FixtureRequest, generate: Generate) -> Monitoring:
    if request.param == "template":
        return Monitoring(TEMPLATE)
    tier, without, _ = f"{request.param} - -".split(maxsplit=2)
    return Monitoring(generate(slo_tier=tier, kubernetes=without != "without"))


def normal(expression: str) -> str:
    """Return an expression without comments and white space."""
    return re.sub(r"#.*|\s", "", expression)


def in_window(query: str, window: str) -> str:
    """Return the query with the rate of each counter in a window."""
    return re.sub(r"\bhttp_\w+\{[^}]*\}", lambda found: f"rate({found[0]}[{window}])", query)


def expected(slo: Object, window: str) -> str:
    """Return the ratio of failures in a window that the indicator of an objective describes."""
    indicator = slo["indicator"]["spec"]
    queries = {
        name: normal(part["metricSource"]["spec"]["query"])
        for name, part in indicator.get("ratioMetric", indicator).items()
        if isinstance(part, dict)
    }
    if ready := queries.get("thresholdMetric"):
        return f"sum_over_time((1 - {ready})[{window}:1m]) / {MINUTES[window]}"
    if not indicator["ratioMetric"]["counter"]:  # rates that are recorded every minute
        bad, total = (f"sum_over_time({queries[each]}[{window}:1m])" for each in ("bad", "total"))
        return f"{bad} / ({total} > 0)"
    total = f"({in_window(queries['total'], window)} > 0)"
    if "bad" in queries:
        return f"{in_window(queries['bad'], window)} / {total}"
    return f"1 - ({in_window(queries['good'], window)}) / {total}"


def test_indicators_equal_the_recording_rules_of_each_window(monitoring: Monitoring) -> None:
    records = {rule["record"]: rule["expr"] for rule in monitoring.rules if "record" in rule}
    for name, slo in monitoring.specs("SLO").items():
        found = [each for each in records if each.startswith(INDICATORS[name])]
        for record in found:
            window = record.removeprefix(INDICATORS[name])
            assert normal(records[record]) == normal(expected(slo, window))
        assert len(found) >= 3


def test_targets_and_alert_policies_equal_the_burn_rate_alerts(monitoring: Monitoring) -> None:
    """Both name the indicator, its long window, the burn rate, the target, severity and wait."""
    policies = monitoring.specs("AlertPolicy")
    described = set()
    for name, slo in monitoring.specs("SLO").items():
        (objective,) = slo["objectives"]
        for reference in slo["alertPolicies"]:
            (condition,) = policies[reference["alertPolicyRef"]]["conditions"]
            limit = condition["spec"]["condition"]
            assert (limit["kind"], limit["op"]) == ("burnrate", "gt")
            record = INDICATORS[name] + limit["lookbackWindow"]
            burn = (record, str(limit["threshold"]), str(objective["target"]))
            described.add((burn, condition["spec"]["severity"], limit["alertAfter"]))
    assert described == {
        (BURN.findall(rule["expr"])[0], rule["labels"]["severity"], rule["for"])
        for rule in monitoring.budget_alerts
    }


def test_document_has_each_objective_of_the_rules(monitoring: Monitoring) -> None:
    objectives = monitoring.specs("SLO").values()
    assert {str(slo["objectives"][0]["target"]) for slo in objectives} == {
        rule["labels"]["slo_target"] for rule in monitoring.budget_alerts
    }
    for slo in objectives:
        assert slo["timeWindow"] == [{"duration": "30d", "isRolling": True}]


def test_references_name_objects_of_the_document(monitoring: Monitoring) -> None:
    assert {each["apiVersion"] for each in monitoring.objects} == {"openslo/v1"}
    slos, policies = monitoring.specs("SLO").values(), monitoring.specs("AlertPolicy")
    used = {each["alertPolicyRef"] for slo in slos for each in slo["alertPolicies"]}
    assert used == policies.keys()
    targets = {
        each["targetRef"] for spec in policies.values() for each in spec["notificationTargets"]
    }
    assert targets == monitoring.specs("AlertNotificationTarget").keys()
    assert {slo["service"] for slo in slos} == monitoring.specs("Service").keys()
