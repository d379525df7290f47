"""What the chart hands to Prometheus, Grafana and Argo Rollouts, and that the figures meet."""

import re
import shutil
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from .cases import options
from .conftest import Charts, lacking
from .helm import Chart, Object

OBSERVED = pytest.mark.parametrize("service", ["defaults", "everything"])


def of(objects: list[Object], kind: str) -> list[Object]:
    return [thing for thing in objects if thing["kind"] == kind]


def deployed(chart: Chart) -> Path:
    """Return the folder of all that a service is deployed with."""
    return chart.folder.parent


@OBSERVED
def test_the_rules_are_those_of_prometheus_byte_by_byte(charts: Charts, service: str) -> None:
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
    files = sorted((deployed(chart) / "prometheus" / "rules").glob("*.yaml"))
    assert embedded == [file.read_text("utf-8").strip() for file in files]
    assert len(files) > 2


@OBSERVED
def test_the_dashboards_are_those_of_grafana(charts: Charts, service: str) -> None:
    chart = charts(service)
    boards = {
        name: text
        for thing in of(chart.objects(options(chart)["dashboards"]), "ConfigMap")
        if thing["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, text in thing["data"].items()
    }
    files = (deployed(chart) / "grafana").glob("*.json")
    assert boards == {f"orders-{file.name}": file.read_text("utf-8").strip() for file in files}


@OBSERVED
def test_nothing_is_monitored_unless_it_is_asked_for(charts: Charts, service: str) -> None:
    """A cluster without these custom resources refuses a whole release for one of them."""
    apis = {thing["apiVersion"] for thing in charts(service).objects()}
    assert not [api for api in apis if "monitoring.coreos.com" in api or "argoproj.io" in api]


@OBSERVED
def test_prometheus_finds_every_pod_by_the_service(charts: Charts, service: str) -> None:
    chart = charts(service)
    objects = chart.objects(options(chart)["service-monitor"])
    (monitor,) = of(objects, "ServiceMonitor")
    (found,) = of(objects, "Service")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert found["metadata"]["labels"].items() >= monitor["spec"]["selector"]["matchLabels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["path"] == "/metrics"
    assert endpoint["port"] in {port["name"] for port in found["spec"]["ports"]}
    assert {"targetLabel": "job", "replacement": "orders"} in endpoint["relabelings"]


def test_scrapes_come_as_often_as_prometheus_own_settings_have_it(charts: Charts) -> None:
    """The rules' windows are made for that."""
    chart = charts("defaults")
    settings = yaml.safe_load(
        (deployed(chart) / "prometheus" / "prometheus.yaml").read_text("utf-8")
    )
    (monitor,) = of(chart.objects(options(chart)["service-monitor"]), "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["interval"] == settings["global"]["scrape_interval"]


@dataclass(frozen=True)
class Canary:
    """What the pods of two versions answered, by the second, and what that makes of the canary.

    expected: the share that is judged; None where there is none.
    """

    check: str
    name: str
    series: dict[str, float]
    expected: float | None


FAILED = 'http_request_duration_seconds_count{status_code="500",'
ALL_RIGHT = 'http_request_duration_seconds_count{status_code="200",'
QUICK = 'http_request_duration_seconds_bucket{status_code="200",le="0.2",'
HASH = "the hash of the pod's template"
CANARY, STABLE = f'{HASH}="new"', f'{HASH}="old"'
CANARIES = [
    Canary("error-rate", "one of ten fails", {FAILED + CANARY: 1, ALL_RIGHT + CANARY: 9}, 0.1),
    Canary("error-rate", "none fails", {FAILED + CANARY: 0, ALL_RIGHT + CANARY: 9}, 0),
    Canary(
        "error-rate",
        "the old version fails",
        {FAILED + CANARY: 0, ALL_RIGHT + CANARY: 9, FAILED + STABLE: 9, ALL_RIGHT + STABLE: 0},
        0,
    ),
    Canary("error-rate", "nobody calls", {FAILED + CANARY: 0, ALL_RIGHT + CANARY: 0}, None),
    Canary("error-rate", "it is not scraped", {FAILED + STABLE: 0, ALL_RIGHT + STABLE: 9}, None),
    Canary("latency", "one of four is slow", {QUICK + CANARY: 3, ALL_RIGHT + CANARY: 4}, 0.25),
    Canary("latency", "none is slow", {QUICK + CANARY: 4, ALL_RIGHT + CANARY: 4}, 0),
    Canary(
        "latency",
        "the old version is slow",
        {QUICK + CANARY: 4, ALL_RIGHT + CANARY: 4, QUICK + STABLE: 0, ALL_RIGHT + STABLE: 4},
        0,
    ),
    Canary("latency", "nobody calls", {QUICK + CANARY: 0, ALL_RIGHT + CANARY: 0}, None),
    Canary("latency", "it is not scraped", {QUICK + STABLE: 4, ALL_RIGHT + STABLE: 4}, None),
]


@pytest.mark.parametrize("canary", CANARIES, ids=lambda each: f"{each.check}, {each.name}")
def test_a_canary_is_judged_by_its_own_pods(charts: Charts, tmp_path: Path, canary: Canary) -> None:
    """With the labels that its metrics get: their own, and what the monitor takes from the pod."""
    promtool = shutil.which("promtool") or lacking(
        "promtool is not installed: apt install prometheus"
    )
    chart = charts("everything")
    objects = chart.objects(options(chart)["rollout"])
    (monitor,) = of(objects, "ServiceMonitor")
    label = monitor["spec"]["podTargetLabels"][0].replace("-", "_")
    (metric,) = [
        metric
        for template in of(objects, "AnalysisTemplate")
        for metric in template["spec"]["metrics"]
        if metric["name"] == canary.check
    ]
    query = metric["provider"]["prometheus"]["query"].replace("{{args.canary-hash}}", "new")
    rule = {"groups": [{"name": "g", "rules": [{"record": "judged", "expr": query}]}]}
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
                # What is no number is neither above nor below.
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


def test_a_canary_is_aborted_at_the_second_failure_and_paused_without_a_figure(
    charts: Charts,
) -> None:
    """Argo Rollouts compares `result[0]` even if there is none, and aborts at the first failure."""
    chart = charts("everything")
    for template in of(chart.objects(options(chart)["rollout"]), "AnalysisTemplate"):
        for metric in template["spec"]["metrics"]:
            number = "len(result) > 0 && !isNaN(result[0]) && result[0]"
            assert re.fullmatch(re.escape(number) + r" <= 0\.\d+", metric["successCondition"])
            assert re.fullmatch(re.escape(number) + r" > 0\.\d+", metric["failureCondition"])
            assert metric["failureLimit"] == 1
