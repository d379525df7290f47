"""The AlertmanagerConfig of a release routes and mutes as deploy/alertmanager does."""

import re
from typing import Any

import pytest
import yaml

from .cases import OPTIONS, merge
from .conftest import Charts
from .helm import Chart, Values

VALUES = OPTIONS["alertmanager-config"]
Object = dict[str, Any]
OWN_SERVICE = 'service_id="orders"'


def config(chart: Chart, values: Values, namespace: str = "shop") -> Object:
    (found,) = [
        thing
        for thing in chart.objects(values, namespace=namespace)
        if thing["kind"] == "AlertmanagerConfig"
    ]
    return found


def snake_case(value: Any) -> Any:  # noqa: ANN401 - a document
    """Return the configuration of Alertmanager that a part of an AlertmanagerConfig stands for."""
    if isinstance(value, list):
        return [snake_case(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "matchType" in value:
        return f'{value["name"]}{value["matchType"]}"{value["value"]}"'
    names = {"sourceMatch": "source_matchers", "targetMatch": "target_matchers"}
    return {
        names.get(key, re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", key)): snake_case(
            each
        )
        for key, each in value.items()
    }


def test_routes_and_inhibitions_equal_those_in_deploy_alertmanager(charts: Charts) -> None:
    chart = charts("defaults")
    file = chart.folder.parent / "alertmanager" / "alertmanager.yaml"
    shipped = yaml.safe_load(file.read_text("utf-8"))
    spec = config(chart, VALUES)["spec"]
    assert snake_case(spec["inhibitRules"]) == shipped["inhibit_rules"]
    route = snake_case(spec["route"])
    assert route.pop("matchers") == [OWN_SERVICE]
    assert route == shipped["route"]
    assert [each["name"] for each in spec["receivers"]] == ["pager", "ticket"]


def test_each_namespace_has_receivers_of_its_own(charts: Charts) -> None:
    """The operator lets an AlertmanagerConfig see only alerts of its own namespace."""
    chart = charts("defaults")
    other = {"name": "pager", "slackConfigs": [{"channel": "#staging"}]}
    ticket = VALUES["monitoring"]["receivers"][1]
    staging = merge(VALUES, {"monitoring": {"receivers": [other, ticket]}})
    assert config(chart, staging, "staging")["spec"]["receivers"] == [other, ticket]
    assert config(chart, VALUES)["spec"]["receivers"] == VALUES["monitoring"]["receivers"]


@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_routes_follow_the_severities_of_the_values(charts: Charts, severity: str) -> None:
    values = merge(VALUES, {"monitoring": {"severities": {severity: "own"}}})
    spec = config(charts("defaults"), values)["spec"]
    used = {f'severity="{name}"' for name in ("page", "ticket") if name != severity}
    used.add('severity="own"')
    assert set(re.findall(r'severity="\w+"', str(snake_case(spec)))) == used


def test_alertmanager_config_is_off_by_default(charts: Charts) -> None:
    assert "AlertmanagerConfig" not in {thing["kind"] for thing in charts("defaults").objects()}
