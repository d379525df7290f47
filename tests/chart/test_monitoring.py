"""Objects for Prometheus, Grafana and Argo Rollouts, and their consistency with deploy/."""

import re
import shutil
import subprocess
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


def rules(objects: list[Object]) -> list[Object]:
    """Return the groups of all PrometheusRules."""
    return [
        group for thing in of_kind(objects, "PrometheusRule") for group in thing["spec"]["groups"]
    ]


def alerts(chart: Chart, **monitoring: object) -> dict[str, Object]:
    """Return the alerts that the chart renders, by name."""
    groups = rules(chart.objects({"monitoring": {"rules": True, **monitoring}}))
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


@OBSERVED
def test_rules_equal_those_in_deploy_prometheus_for_one_namespace(
    charts: Charts, service: str
) -> None:
    chart = charts(service)
    files = sorted((deploy_folder(chart) / "prometheus" / "rules").glob("*.yaml"))
    shipped = [
        group
        for file in files
        for group in yaml.safe_load(
            re.sub(
                r"(service_id|job|container)=(\"[a-z]+\")",
                r'\1=\2,namespace="shop"',
                file.read_text("utf-8"),
            ).replace("(.+-)?", "")
        )["groups"]
    ]
    assert rules(chart.objects(options(chart)["rules"])) == shipped
    assert len(files) > 2


def test_values_change_objectives_labels_and_single_alerts(charts: Charts) -> None:
    changed = alerts(
        charts("defaults"),
        objectives={"availability": 0.995, "readiness": 0.99},
        minFailures=3,
        alertLabels={"team": "shop", "severity": "ignored"},
        severities={"page": "critical"},
        runbookUrl="https://wiki.example/orders",
        alerts={
            "EventLoopBlocked": {"enabled": False},
            "RequestsRejected": {"for": "30m", "severity": "critical", "threshold": 100},
        },
    )
    assert "EventLoopBlocked" not in changed
    rejected = changed["RequestsRejected"]
    assert (rejected["for"], rejected["labels"]["severity"]) == ("30m", "critical")
    assert rejected["expr"].endswith(" > 100")
    fast = changed["AvailabilityBudgetBurnFast"]
    assert fast["labels"] == {
        "severity": "critical",
        "symptom": "availability",
        "slo_target": "0.995",
        "team": "shop",
    }
    assert fast["expr"].count("14.4 * (1 - 0.995)") == 2
    assert fast["expr"].endswith(">= 3")
    assert "(1 - 0.99)" in changed["ReadinessBudgetBurnMedium"]["expr"]
    assert "(1 - 0.99)" in changed["LatencyBudgetBurnFast"]["expr"]
    assert {alert["labels"]["team"] for alert in changed.values()} == {"shop"}
    for name, alert in changed.items():
        url = f"https://wiki.example/orders#{name.lower()}"
        assert alert["annotations"]["runbook_url"] == url


@pytest.mark.parametrize(
    ("alert", "change", "fragments"),
    [
        ("ServiceDwn", {"enabled": False}, ("monitoring.alerts.ServiceDwn", "ServiceDown")),
        ("ServiceDown", {"threshold": 2}, ("monitoring.alerts.ServiceDown.threshold", "remove")),
        ("ServiceDown", {"for": "soon"}, ("/monitoring/alerts/ServiceDown/for",)),
        ("ServiceDown", {"sev": "page"}, ("/monitoring/alerts/ServiceDown", "'sev'")),
    ],
)
def test_wrong_change_of_alert_is_rejected(
    charts: Charts, alert: str, change: Object, fragments: tuple[str, ...]
) -> None:
    error = charts("defaults").error({"monitoring": {"rules": True, "alerts": {alert: change}}})
    assert all(fragment in error for fragment in fragments), error


@pytest.mark.parametrize(("value", "folder"), [("rules", "rules"), ("dashboards", "dashboards")])
def test_package_without_its_files_is_rejected(
    charts: Charts, tmp_path: Path, value: str, folder: str
) -> None:
    """A tool that packages the chart can leave out files."""
    copy = shutil.copytree(charts("defaults").folder, tmp_path / "chart")
    shutil.rmtree(copy / folder)
    error = Chart(copy).error({"monitoring": {value: True}})
    assert f"monitoring.{value} is true, but this package of the chart has no {folder}" in error


def test_chart_has_no_symbolic_links(charts: Charts) -> None:
    """Flux and zip archives leave them out."""
    for service in ("defaults", "everything"):
        assert not [path for path in charts(service).folder.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize("changed", ["prometheus/rules/health.yaml", "chart/dashboards/new.json"])
def test_lint_reports_file_that_differs_from_its_copy(
    charts: Charts, tmp_path: Path, changed: str
) -> None:
    service = shutil.copytree(charts("defaults").folder.parents[1], tmp_path / "service")
    command = ["make", "--no-print-directory", "-C", str(service), "chart-copies"]
    assert subprocess.run(command, check=False).returncode == 0
    with (service / "deploy" / changed).open("a") as file:
        file.write("# changed\n")
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "copy the newer files" in ended.stdout
    assert Path(changed).name in ended.stdout


def test_two_namespaces_have_objectives_of_their_own(charts: Charts, tmp_path: Path) -> None:
    """In both, one of fifty requests fails. Only production has promised that fewer fail."""
    chart = charts("defaults")
    releases = {"production": 0.999, "staging": 0.9}
    series = {}
    for namespace, availability in releases.items():
        values = {"monitoring": {"rules": True, "objectives": {"availability": availability}}}
        groups = rules(chart.objects(values, namespace=namespace))
        for group in groups:
            group["name"] += f"-{namespace}"
        (tmp_path / f"{namespace}.yaml").write_text(yaml.safe_dump({"groups": groups}), "utf-8")
        labels = f'service_id="orders",namespace="{namespace}"'
        series[f'http_request_duration_seconds_count{{{labels},status_code="200"}}'] = "0+49x80"
        series[f'http_request_duration_seconds_count{{{labels},status_code="500"}}'] = "0+1x80"
        series[f"service_info{{{labels}}}"] = "1x80"
    firing = 'count by (namespace, slo_target) (ALERTS{alertstate="firing",severity="page"})'
    expected = '{namespace="production", slo_target="0.999"}'
    check = {
        "expr": f"{firing} > bool 0",
        "eval_time": "15m",
        "exp_samples": [{"labels": expected, "value": 1}],
    }
    run_promtool(
        tmp_path,
        {
            "rule_files": [f"{namespace}.yaml" for namespace in releases],
            "group_eval_order": [
                f"objectives{long}-{namespace}"
                for long in ("", "-long-windows")
                for namespace in releases
            ],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "15s",
                    "input_series": [{"series": k, "values": v} for k, v in series.items()],
                    "promql_expr_test": [check],
                }
            ],
        },
    )


def run_promtool(folder: Path, tests: Object) -> None:
    """Run promtool's tests of rules in a folder; fail if an expectation does not hold."""
    promtool = shutil.which("promtool") or skip_or_fail(
        "promtool is not installed: apt install prometheus"
    )
    (folder / "tests.yaml").write_text(yaml.safe_dump(tests), "utf-8")
    ended = subprocess.run(
        [promtool, "test", "rules", "tests.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


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
    Canary("error-rate", "too few requests", {FAILED + CANARY: 0.1, SUCCEEDED + CANARY: 0.1}, None),
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

    def series(name: str, namespace: str = "shop") -> str:
        return f'{name.replace(HASH, label)},service_id="orders",namespace="{namespace}"}}'

    samples = [] if canary.expected is None else [{"labels": "{}", "value": canary.expected}]
    scenario = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    # In another namespace, all requests to a canary with the same hash fail.
                    {"series": series(FAILED + CANARY, "staging"), "values": "0+100x40"},
                    *(
                        {"series": series(name), "values": f"0+{per_second * 15:g}x40"}
                        for name, per_second in canary.series.items()
                    ),
                ],
                # NaN is neither above nor below a limit.
                "promql_expr_test": [
                    {"expr": f"({query}) >= 0", "eval_time": "8m", "exp_samples": samples}
                ],
            }
        ],
    }
    run_promtool(tmp_path, scenario)


def test_second_failure_aborts_canary_and_missing_value_pauses_it(charts: Charts) -> None:
    """By default Argo Rollouts reads `result[0]` even if empty, and aborts at the first failure."""
    chart = charts("everything")
    for template in of_kind(chart.objects(options(chart)["rollout"]), "AnalysisTemplate"):
        for metric in template["spec"]["metrics"]:
            number = "len(result) > 0 && !isNaN(result[0]) && result[0]"
            assert re.fullmatch(re.escape(number) + r" <= 0\.\d+", metric["successCondition"])
            assert re.fullmatch(re.escape(number) + r" > 0\.\d+", metric["failureCondition"])
            assert metric["failureLimit"] == 1
