"""Every object that the chart can render is valid for Kubernetes."""

import re
from pathlib import Path
from typing import Any

import pytest

from .cases import options
from .conftest import Charts
from .helm import Chart, helm, verified
from .objects import VERSIONS, errors

OLDEST = re.compile(r">=(1\.\d+)\.0-0")


def test_objects_are_valid_for_old_and_new_kubernetes(chart: Chart) -> None:
    """The newest known version, the one two before it, and the oldest that the chart supports."""
    oldest = OLDEST.fullmatch(chart.metadata["kubeVersion"])
    assert oldest
    rendered = {name: chart.objects(values) for name, values in options(chart).items()}
    found = [
        f"{name}, {thing['kind']} {thing['metadata']['name']}, {version}: {error}"
        for name, objects in rendered.items()
        for thing in objects
        for version in (oldest[1], VERSIONS[-3], VERSIONS[-1])
        for error in errors(thing, version)
    ]
    assert not found, "\n".join(found)


def test_options_cover_every_value(chart: Chart) -> None:
    assert {key for values in options(chart).values() for key in values} == chart.values.keys()


def test_object_names_are_unique(chart: Chart) -> None:
    for name, values in options(chart).items():
        objects = chart.objects(values)
        names = [
            (thing["apiVersion"], thing["kind"], thing["metadata"]["name"]) for thing in objects
        ]
        assert len(names) == len(set(names)), name


def test_helm_lint_reports_nothing(chart: Chart) -> None:
    for name, values in options(chart).items():
        messages = [line for line in chart.lint(values) if "icon is recommended" not in line]
        assert not messages, name


EVERYTHING = (
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("networking.k8s.io/v1", "Ingress"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("argoproj.io/v1alpha1", "Rollout"),
    ("argoproj.io/v1alpha1", "AnalysisTemplate"),
)


def test_all_options_together_render_every_kind(charts: Charts) -> None:
    chart = charts("everything")
    objects = chart.objects(options(chart)["together"])
    assert {(thing["apiVersion"], thing["kind"]) for thing in objects} == set(EVERYTHING)


# A misspelled field in each kind of object, with its path.
MISSPELLED: list[tuple[str, list[str | int], dict[str, Any]]] = [
    ("Deployment", ["spec", "template", "spec", "containers", 0, "readinessProbe"], {"port": 1}),
    ("Job", ["spec"], {"backOffLimit": 1}),
    ("Service", ["spec", "ports", 0], {"targetport": 1}),
    ("NetworkPolicy", ["spec"], {"policyType": ["Ingress"]}),
    ("PodDisruptionBudget", ["spec"], {"maxUnavailble": 1}),
    ("HTTPRoute", ["spec"], {"hostname": "a"}),
    ("HTTPRoute", ["spec", "rules", 0], {"backendRef": []}),
    ("ServiceMonitor", ["spec"], {"endpoint": []}),
    ("ServiceMonitor", ["spec", "endpoints", 0], {"intervall": "15s"}),
    ("PrometheusRule", ["spec", "groups", 0], {"rule": []}),
    ("PrometheusRule", ["spec", "groups", 0, "rules", 0], {"annotation": {}}),
    ("AlertmanagerConfig", ["spec", "route"], {"group_by": []}),
    ("AlertmanagerConfig", ["spec", "route", "routes", 0], {"receivers": "pager"}),
    ("AlertmanagerConfig", ["spec", "inhibitRules", 0], {"source": []}),
    ("Rollout", ["spec"], {"replica": 1}),
    ("Rollout", ["spec", "workloadRef"], {"scaledown": "never"}),
    ("Rollout", ["spec", "strategy", "canary", "steps", 0], {"setweight": 20}),
    ("Rollout", ["spec", "strategy", "canary", "analysis"], {"startStep": 1}),
    ("AnalysisTemplate", ["spec", "metrics", 0], {"failurelimit": 1}),
    ("AnalysisTemplate", ["spec", "metrics", 0, "provider", "prometheus"], {"adress": "http://a"}),
]


@pytest.mark.parametrize(("kind", "place", "field"), MISSPELLED)
def test_misspelled_field_is_reported_with_path(
    charts: Charts, kind: str, place: list[str | int], field: dict[str, Any]
) -> None:
    chart = charts("everything")
    objects = chart.objects(options(chart)["together"])
    thing = next(each for each in objects if each["kind"] == kind)
    part: Any = thing
    for step in place:
        part = part[step]
    part.update(field)
    (name,) = field
    path = "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    assert errors(thing, VERSIONS[-1]) == [
        f"{path}: Additional properties are not allowed ('{name}' was unexpected)"
    ]


def test_wrong_type_and_missing_field_are_reported_in_custom_resources(charts: Charts) -> None:
    chart = charts("everything")
    objects = {each["kind"]: each for each in chart.objects(options(chart)["together"])}
    objects["Rollout"]["spec"]["strategy"]["canary"]["steps"][0]["setWeight"] = "20"
    del objects["PrometheusRule"]["spec"]["groups"][0]["rules"][0]["expr"]
    objects["ServiceMonitor"]["spec"]["endpoints"][0]["interval"] = "15 seconds"
    for kind, expected in {
        "Rollout": "steps[0].setWeight: '20' is not of type 'integer'",
        "PrometheusRule": "rules[0]: 'expr' is a required property",
        "ServiceMonitor": "endpoints[0].interval: '15 seconds' does not match",
    }.items():
        (error,) = errors(objects[kind], VERSIONS[-1])
        assert expected in error


def test_unknown_helm_library_is_rejected(tmp_path: Path) -> None:
    other = tmp_path / "libhelm_c.so"
    other.write_bytes(b"another")
    with pytest.raises(ImportError, match="is not the reviewed library"):
        verified(other, "0" * 64)
    assert helm().library_path.name.startswith("libhelm_c")
