"""The pods of the chart: probes, graceful shutdown, security and names."""

import re
from typing import Any

import pytest

from .cases import options
from .conftest import Charts
from .helm import Chart, Object, Values

SECURE_POD = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
SECURE_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
# Volumes that the Pod Security Standard `restricted` allows, and fields that expose the node.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"}
VOLUMES |= {"projected", "secret", "name"}
NODE = {"hostNetwork", "hostPID", "hostIPC"}


def one(objects: list[Object], kind: str) -> Object:
    (found,) = [thing for thing in objects if thing["kind"] == kind]
    return found


def pods(objects: list[Object]) -> dict[str, Object]:
    """Return every pod template with the name of its owner."""
    found = {}
    for thing in objects:
        name = f"{thing['kind']} {thing['metadata']['name']}"
        if thing["kind"] == "Pod":
            found[name] = thing
        elif "template" in thing.get("spec", {}):
            found[name] = thing["spec"]["template"]
    return found


def service(chart: Chart, values: Values | None = None) -> Object:
    """Return the spec of the pods that serve requests."""
    spec: Object = one(chart.objects(values), "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize(
    ("drain", "seconds"),
    [
        ({}, 5 + 5 + 20 + 5 + 5),
        ({"preStop": 0}, 0 + 5 + 20 + 5 + 5),
        ({"preStop": 15, "delay": 30, "timeout": 120}, 15 + 30 + 120 + 5 + 5),
        ({"delay": 0, "timeout": 1}, 5 + 0 + 1 + 5 + 5),
    ],
)
def test_grace_period_covers_shutdown(chart: Chart, drain: dict[str, int], seconds: int) -> None:
    """preStop, drain delay and timeout, 5 s to close pools and send telemetry, 5 s in reserve."""
    objects = chart.objects({"drain": drain})
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    settings = {**chart.values["drain"], **drain}
    assert spec["terminationGracePeriodSeconds"] == seconds
    (container,) = spec["containers"]
    sleep = container.get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}})["preStop"]["sleep"]
    assert sleep["seconds"] == settings["preStop"]
    data = one(objects, "ConfigMap")["data"]
    assert data["SERVICE_DRAIN_DELAY"] == str(settings["delay"])
    assert data["SERVICE_SHUTDOWN_TIMEOUT"] == str(settings["timeout"])


@pytest.mark.parametrize(
    ("kubernetes", "path", "period", "failures"),
    [
        ("startupProbe", "/health/startup", 2, 30),
        ("livenessProbe", "/health/live", 10, 3),
        ("readinessProbe", "/health/ready", 5, 1),
    ],
)
def test_probes_have_path_and_timing(
    chart: Chart, kubernetes: str, path: str, period: int, failures: int
) -> None:
    (container,) = service(chart)["containers"]
    assert container[kubernetes] == {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 1,
        "failureThreshold": failures,
    }
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8000, "management": 9000}


def test_pods_are_restricted_and_have_no_token(chart: Chart) -> None:
    for name, values in options(chart).items():
        for owner, pod in pods(chart.objects(values)).items():
            spec: dict[str, Any] = pod["spec"]
            assert spec["securityContext"].items() >= SECURE_POD.items(), (name, owner)
            assert spec["automountServiceAccountToken"] is False
            assert not NODE & spec.keys()
            assert all(volume.keys() <= VOLUMES for volume in spec.get("volumes", []))
            for container in [*spec["containers"], *spec.get("initContainers", [])]:
                assert container["securityContext"] == SECURE_CONTAINER, (name, owner)
                assert container["resources"].keys() == {"requests", "limits"}
                assert not any("hostPort" in port for port in container.get("ports", []))


def test_service_account_mounts_no_token(chart: Chart) -> None:
    account = one(chart.objects(), "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert service(chart)["serviceAccountName"] == account["metadata"]["name"]


def test_service_and_budget_select_only_serving_pods(chart: Chart) -> None:
    """The pods of the migration and of the release test do not match."""
    objects = chart.objects()
    serving = one(objects, "Service")["spec"]["selector"]
    assert one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == serving
    assert one(objects, "Deployment")["spec"]["selector"]["matchLabels"] == serving
    chosen = [
        owner
        for owner, pod in pods(objects).items()
        if pod["metadata"]["labels"].items() >= serving.items()
    ]
    assert chosen == ["Deployment orders"]


def test_service_ports_match_pod_ports(chart: Chart) -> None:
    for values in options(chart).values():
        objects = chart.objects(values)
        (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
        ports = one(objects, "Service")["spec"]["ports"]
        named = {port["name"] for port in container["ports"]}
        assert {port["targetPort"] for port in ports} == named


def test_only_changed_settings_replace_pods(chart: Chart) -> None:
    before, same, after = (
        one(chart.objects(values), "Deployment")["spec"]["template"]
        for values in ({}, {"replicaCount": 5}, {"config": {"SERVICE_LOG_LEVEL": "DEBUG"}})
    )
    assert before == same
    assert before != after


def test_secret_is_referenced_and_not_created(chart: Chart) -> None:
    objects = chart.objects({"secret": {"keys": ["DATABASE_URL"]}})
    assert not [thing for thing in objects if thing["kind"] == "Secret"]
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert {
        "name": "DATABASE_URL",
        "valueFrom": {"secretKeyRef": {"name": "orders", "key": "DATABASE_URL"}},
    } in container["env"]


def test_migration_needs_no_object_of_release(charts: Charts) -> None:
    """Hooks run before the objects of the release exist."""
    job = one(charts("defaults").objects(), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert "serviceAccountName" not in spec
    assert "envFrom" not in container
    sources = [each["valueFrom"] for each in container["env"] if "valueFrom" in each]
    assert {source for each in sources for source in each} == {"secretKeyRef"}
    (serving,) = service(charts("defaults"))["containers"]
    assert container["image"] == serving["image"]


def test_rollout_runs_pods_of_deployment(charts: Charts) -> None:
    chart = charts("everything")
    objects = chart.objects(options(chart)["rollout"])
    deployment = one(objects, "Deployment")
    rollout = one(objects, "Rollout")["spec"]
    assert rollout["workloadRef"]["name"] == deployment["metadata"]["name"]
    assert rollout["workloadRef"]["kind"] == "Deployment"
    assert deployment["spec"]["replicas"] == 0
    assert rollout["replicas"] == chart.values["replicaCount"]
    analyses = {
        thing["metadata"]["name"] for thing in objects if thing["kind"] == "AnalysisTemplate"
    }
    used = {each["templateName"] for each in rollout["strategy"]["canary"]["analysis"]["templates"]}
    assert used == analyses == {"orders-error-rate-check", "orders-latency-check"}


@pytest.mark.parametrize(("option", "kind"), [("default", "Deployment"), ("rollout", "Rollout")])
def test_autoscaler_alone_sets_number_of_pods(charts: Charts, option: str, kind: str) -> None:
    chart = charts("everything")
    values = {**options(chart)[option], **options(chart)["autoscaling"]}
    objects = chart.objects(values)
    target = one(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    scaled = one(objects, kind)
    assert (target["kind"], target["name"]) == (kind, scaled["metadata"]["name"])
    assert "replicas" not in scaled["spec"]


NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


@pytest.mark.parametrize("release", ["a", "r" * 53, "orders", "x-" * 26 + "x"])
def test_longest_names_are_valid(charts: Charts, release: str) -> None:
    chart = charts("long")
    for values in options(chart).values():
        for thing in chart.objects(values, name=release):
            assert NAME.fullmatch(thing["metadata"]["name"]), thing["metadata"]["name"]
            labels = dict(thing["metadata"]["labels"])
            for pod in pods([thing]).values():
                labels.update(pod["metadata"]["labels"])
            assert [value for value in labels.values() if not LABEL.fullmatch(value)] == []


def test_two_releases_in_one_namespace_do_not_collide(chart: Chart) -> None:
    first, second = (chart.objects(name=name) for name in ("one", "two"))
    names = [{(t["kind"], t["metadata"]["name"]) for t in objects} for objects in (first, second)]
    assert not names[0] & names[1]
    selector = one(first, "Service")["spec"]["selector"]
    for pod in pods(second).values():
        assert not pod["metadata"]["labels"].items() >= selector.items()
