"""Objects for Prometheus, Grafana and Argo Rollouts, and their consistency with deploy/."""

import re
import shutil
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from .cases import options
from .conftest import Charts, skip_or_fail
from .helm import Chart, Object

OBSERVED = pytest.mark.parametrize("service", ["defaults", "everything"])


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [thing for thing in objects if thing["kind"] == kind]


def deploy_folder(chart: Chart) -> Path:
    """Return the folder `deploy` of a service."""
    return chart.folder.parent


@OBSERVED
def test_rules_equal_those_in_deploy_prometheus(charts: Charts, service: str) -> None:
    chart = charts(service)
    (rendered,) = [
        text
        for path, text in chart.texts(options(chart)["rules"]).items()
        if path.endswith("/rules.yaml")
    ]
    embedded = [
        textwrap.dedent(each.partition("\nspec:\n")[2]).strip()
        for each in re.split(r"^---$", rendered, flags=re.MULTILINE)
        if each.strip()
    ]
    files = sorted((deploy_folder(chart) / "prometheus" / "rules").glob("*.yaml"))
    assert embedded == [file.read_text("utf-8").strip() for file in files]
    assert len(files) > 2


@OBSERVED
def test_dashboards_equal_those_in_deploy_grafana(charts: Charts, service: str) -> None:
    chart = charts(service)
    boards = {
        name: text
        for thing in of_kind(chart.objects(options(chart)["dashboards"]), "ConfigMap")
        if thing["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, text in thing["data"].items()
    }
    files = (deploy_folder(chart) / "grafana").glob("*.json")
    assert boards == {f"orders-{file.name}": file.read_text("utf-8").strip() for file in files}


@OBSERVED
def test_custom_resources_are_off_by_default(charts: Charts, service: str) -> None:
    """A cluster without these custom resources would reject the whole release."""
    apis = {thing["apiVersion"] for thing in charts(service).objects()}
    assert not [api for api in apis if "monitoring.coreos.com" in api or "argoproj.io" in api]


@OBSERVED
def test_service_monitor_selects_service(charts: Charts, service: str) -> None:
    chart = charts(service)
    objects = chart.objects(options(chart)["service-monitor"])
    (monitor,) = of_kind(objects, "ServiceMonitor")
    (found,) = of_kind(objects, "Service")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert found["metadata"]["labels"].items() >= monitor["spec"]["selector"]["matchLabels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["path"] == "/metrics"
    assert endpoint["port"] in {port["name"] for port in found["spec"]["ports"]}
    assert {"targetLabel": "job", "replacement": "orders"} in endpoint["relabelings"]


def test_scrape_interval_equals_that_of_prometheus_yaml(charts: Charts) -> None:
    """The windows of the rules assume it."""
    chart = charts("defaults")
    settings = yaml.safe_load(
        (deploy_folder(chart) / "prometheus" / "prometheus.yaml").read_text("utf-8")
    )
    (monitor,) = of_kind(chart.objects(options(chart)["service-monitor"]), "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["interval"] == settings["global"]["scrape_interval"]


@dataclass(frozen=True)
class Canary:
    """Responses per second of the pods of two versions, and the expected result of the analysis.

    expected: the measured rate; None if there is no rate.
    """

    check: str
    name: str
    series: dict[str, float]
    expected: float | None


FAILED = 'http_request_duration_seconds_count{status_code="500",'
SUCCEEDED = 'http_request_duration_seconds_count{status_code="200",'
FAST = 'http_request_duration_seconds_bucket{status_code="200",le="0.2",'
HASH = "the hash of the pod's template"
CANARY, STABLE = f'{HASH}="new"', f'{HASH}="old"'
CANARIES = [
    Canary(
        "error-rate", "one of ten requests fails", {FAILED + CANARY: 1, SUCCEEDED + CANARY: 9}, 0.1
    ),
    Canary("error-rate", "no request fails", {FAILED + CANARY: 0, SUCCEEDED + CANARY: 9}, 0),
    Canary(
        "error-rate",
        "the old version fails",
        {FAILED + CANARY: 0, SUCCEEDED + CANARY: 9, FAILED + STABLE: 9, SUCCEEDED + STABLE: 0},
        0,
    ),
    Canary("error-rate", "no requests", {FAILED + CANARY: 0, SUCCEEDED + CANARY: 0}, None),
    Canary("error-rate", "canary not scraped", {FAILED + STABLE: 0, SUCCEEDED + STABLE: 9}, None),
    Canary(
        "latency", "one of four requests is slow", {FAST + CANARY: 3, SUCCEEDED + CANARY: 4}, 0.25
    ),
    Canary("latency", "no request is slow", {FAST + CANARY: 4, SUCCEEDED + CANARY: 4}, 0),
    Canary(
        "latency",
        "the old version is slow",
        {FAST + CANARY: 4, SUCCEEDED + CANARY: 4, FAST + STABLE: 0, SUCCEEDED + STABLE: 4},
        0,
    ),
    Canary("latency", "no requests", {FAST + CANARY: 0, SUCCEEDED + CANARY: 0}, None),
    Canary("latency", "canary not scraped", {FAST + STABLE: 4, SUCCEEDED + STABLE: 4}, None),
]


@pytest.mark.parametrize("canary", CANARIES, ids=lambda each: f"{each.check}, {each.name}")
def test_analysis_measures_pods_of_canary_only(
    charts: Charts, tmp_path: Path, canary: Canary
) -> None:
    """The series have their own labels and the label that the ServiceMonitor takes from the pod."""
    promtool = shutil.which("promtool") or skip_or_fail(
        "promtool is not installed: apt install prometheus"
    )
    chart = charts("everything")
    objects = chart.objects(options(chart)["rollout"])
    (monitor,) = of_kind(objects, "ServiceMonitor")
    label = monitor["spec"]["podTargetLabels"][0].replace("-", "_")
    (metric,) = [
        metric
        for template in of_kind(objects, "AnalysisTemplate")
        for metric in template["spec"]["metrics"]
        if metric["name"] == canary.check
    ]
    query = metric["provider"]["prometheus"]["query"].replace("{{args.canary-hash}}", "new")
    rule = {"groups": [{"name": "g", "rules": [{"record": "measured", "expr": query}]}]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule), "utf-8")
    samples = [] if canary.expected is None else [{"labels": "{}", "value": canary.expected}]
    scenario = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    {
                        "series": f'{name.replace(HASH, label)},service_id="orders",job="orders"}}',
                        "values": f"0+{per_second * 15:g}x40",
                    }
                    for name, per_second in canary.series.items()
                ],
                # NaN is neither above nor below a limit.
                "promql_expr_test": [
                    {"expr": f"({query}) >= 0", "eval_time": "8m", "exp_samples": samples}
                ],
            }
        ],
    }
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(scenario), "utf-8")
    ended = subprocess.run(
        [promtool, "test", "rules", "tests.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_second_failure_aborts_canary_and_missing_value_pauses_it(charts: Charts) -> None:
    """By default Argo Rollouts reads `result[0]` even if empty, and aborts at the first failure."""
    chart = charts("everything")
    for template in of_kind(chart.objects(options(chart)["rollout"]), "AnalysisTemplate"):
        for metric in template["spec"]["metrics"]:
            number = "len(result) > 0 && !isNaN(result[0]) && result[0]"
            assert re.fullmatch(re.escape(number) + r" <= 0\.\d+", metric["successCondition"])
            assert re.fullmatch(re.escape(number) + r" > 0\.\d+", metric["failureCondition"])
            assert metric["failureLimit"] == 1
