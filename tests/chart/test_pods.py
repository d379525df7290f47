"""The pods that the chart makes: how they are asked, how they leave, and what they may not do."""

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
# What `restricted` allows of volumes, and the fields that reach for the node.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"}
VOLUMES |= {"projected", "secret", "name"}
NODE = {"hostNetwork", "hostPID", "hostIPC"}


def one(objects: list[Object], kind: str) -> Object:
    (found,) = [thing for thing in objects if thing["kind"] == kind]
    return found


def pods(objects: list[Object]) -> dict[str, Object]:
    """Return every pod that objects make, by who makes it: its metadata and spec."""
    found = {}
    for thing in objects:
        name = f"{thing['kind']} {thing['metadata']['name']}"
        if thing["kind"] == "Pod":
            found[name] = thing
        elif "template" in thing.get("spec", {}):
            found[name] = thing["spec"]["template"]
    return found


def service(chart: Chart, values: Values | None = None) -> Object:
    """Return the spec of the pods that serve."""
    spec: Object = one(chart.objects(values), "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize(
    ("graceful-shutdown", "seconds"),
    [
        ({}, 5 + 5 + 20 + 5 + 5),
        ({"preStop": 0}, 0 + 5 + 20 + 5 + 5),
        ({"preStop": 15, "delay": 30, "timeout": 120}, 15 + 30 + 120 + 5 + 5),
        ({"delay": 0, "timeout": 1}, 5 + 0 + 1 + 5 + 5),
    ],
)
def test_a_pod_has_the_time_that_leaving_takes(
    chart: Chart, drain: dict[str, int], seconds: int
) -> None:
    """preStop, drain and shutdown, closing pools and sending telemetry, and five to spare."""
    objects = chart.objects({"graceful-shutdown": drain})
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    settings = {**chart.values["graceful-shutdown"], **drain}
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
def test_a_probe_asks_its_own_question_as_often_as_the_service_is_made_for(
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


def test_every_pod_is_restricted_and_has_no_token(chart: Chart) -> None:
    for name, values in options(chart).items():
        for maker, pod in pods(chart.objects(values)).items():
            spec: dict[str, Any] = pod["spec"]
            assert spec["securityContext"].items() >= SECURE_POD.items(), (name, maker)
            assert spec["automountServiceAccountToken"] is False
            assert not NODE & spec.keys()
            assert all(volume.keys() <= VOLUMES for volume in spec.get("volumes", []))
            for container in [*spec["containers"], *spec.get("initContainers", [])]:
                assert container["securityContext"] == SECURE_CONTAINER, (name, maker)
                assert container["resources"].keys() == {"requests", "limits"}
                assert not any("hostPort" in port for port in container.get("ports", []))


def test_the_service_account_gives_no_token_either(chart: Chart) -> None:
    account = one(chart.objects(), "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert service(chart)["serviceAccountName"] == account["metadata"]["name"]


def test_only_the_pods_that_serve_get_requests(chart: Chart) -> None:
    """Neither the migration nor the test of a release does; the budget counts the same pods."""
    objects = chart.objects()
    serving = one(objects, "Service")["spec"]["selector"]
    assert one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == serving
    assert one(objects, "Deployment")["spec"]["selector"]["matchLabels"] == serving
    chosen = [
        maker
        for maker, pod in pods(objects).items()
        if pod["metadata"]["labels"].items() >= serving.items()
    ]
    assert chosen == ["Deployment orders"]


def test_the_ports_of_the_service_lead_to_those_of_the_pods(chart: Chart) -> None:
    for values in options(chart).values():
        objects = chart.objects(values)
        (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
        ports = one(objects, "Service")["spec"]["ports"]
        named = {port["name"] for port in container["ports"]}
        assert {port["targetPort"] for port in ports} == named


def test_new_settings_make_new_pods_and_equal_ones_do_not(chart: Chart) -> None:
    before, same, after = (
        one(chart.objects(values), "Deployment")["spec"]["template"]
        for values in ({}, {"replicaCount": 5}, {"config": {"SERVICE_LOG_LEVEL": "DEBUG"}})
    )
    assert before == same
    assert before != after


def test_a_secret_is_named_and_never_made(chart: Chart) -> None:
    objects = chart.objects({"secret": {"keys": ["DATABASE_URL"]}})
    assert not [thing for thing in objects if thing["kind"] == "Secret"]
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert {
        "name": "DATABASE_URL",
        "valueFrom": {"secretKeyRef": {"name": "orders", "key": "DATABASE_URL"}},
    } in container["env"]


def test_a_migration_needs_nothing_that_is_made_after_it(charts: Charts) -> None:
    """A hook before an installation finds nothing of the release but what people made before."""
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


def test_a_rollout_runs_the_pods_of_the_deployment(charts: Charts) -> None:
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


@pytest.mark.parametrize(("option", "kind"), [("as-it-is", "Deployment"), ("rollout", "Rollout")])
def test_the_autoscaler_alone_says_how_many_pods_there_are(
    charts: Charts, option: str, kind: str
) -> None:
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
def test_the_longest_names_still_fit(charts: Charts, release: str) -> None:
    chart = charts("long")
    for values in options(chart).values():
        for thing in chart.objects(values, name=release):
            assert NAME.fullmatch(thing["metadata"]["name"]), thing["metadata"]["name"]
            labels = dict(thing["metadata"]["labels"])
            for pod in pods([thing]).values():
                labels.update(pod["metadata"]["labels"])
            assert [value for value in labels.values() if not LABEL.fullmatch(value)] == []


def test_two_releases_in_one_namespace_share_no_name_and_no_pod(chart: Chart) -> None:
    first, second = (chart.objects(name=name) for name in ("one", "two"))
    names = [{(t["kind"], t["metadata"]["name"]) for t in objects} for objects in (first, second)]
    assert not names[0] & names[1]
    selector = one(first, "Service")["spec"]["selector"]
    for pod in pods(second).values():
        assert not pod["metadata"]["labels"].items() >= selector.items()
