"""The pods of the chart: probes, graceful shutdown, security and names."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from .cases import merge, options, platform_values
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
        ("readinessProbe", "/health/ready", 2, 2),
    ],
)
def test_probes_have_path_and_timing(
    chart: Chart, kubernetes: str, path: str, period: int, failures: int
) -> None:
    (container,) = service(chart)["containers"]
    assert container[kubernetes] == {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 2 if kubernetes == "readinessProbe" else 1,
        "failureThreshold": failures,
    }
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8000, "management": 9000}


def test_pods_are_restricted_and_have_no_token(chart: Chart) -> None:
    for name, values in options(chart).items():
        for owner, pod in pods(chart.objects(values)).items():
            spec: dict[str, Any] = pod["spec"]
            assert spec["securityContext"].items() >= SECURE_POD.items(), (name, owner)
            own = {"runAsUser"} if name in {"security", "together"} else set()
            assert spec["automountServiceAccountToken"] is False
            assert not NODE & spec.keys()
            assert all(volume.keys() <= VOLUMES for volume in spec.get("volumes", []))
            for container in [*spec["containers"], *spec.get("initContainers", [])]:
                security = container["securityContext"]
                assert security.items() >= SECURE_CONTAINER.items(), (name, owner)
                assert security.keys() - SECURE_CONTAINER.keys() <= own, (name, owner)
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
        container, *_ = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
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


SCALED = pytest.mark.parametrize(
    ("option", "kind"), [("default", "Deployment"), ("rollout", "Rollout")]
)


@SCALED
def test_autoscaler_scales_workload_and_never_below_its_number_of_pods(
    charts: Charts, option: str, kind: str
) -> None:
    """If `replicas` were missing, Kubernetes would set it to 1."""
    chart = charts("everything")
    values = merge(options(chart)[option], {"autoscaling": {"enabled": True}, "replicaCount": 20})
    objects = chart.objects(values)
    autoscaler = one(objects, "HorizontalPodAutoscaler")["spec"]
    scaled = one(objects, kind)
    target = autoscaler["scaleTargetRef"]
    assert (target["kind"], target["name"]) == (kind, scaled["metadata"]["name"])
    assert scaled["spec"]["replicas"] == 20
    assert autoscaler["maxReplicas"] >= 20


@SCALED
@pytest.mark.parametrize(("live", "expected"), [(37, 37), (1, 3)])
def test_number_of_pods_in_cluster_is_kept_with_autoscaler(
    charts: Charts, tmp_path: Path, option: str, kind: str, live: int, expected: int
) -> None:
    """Helm reads the number with `lookup`. There is no cluster here, so its result is inserted."""
    folder = shutil.copytree(charts("everything").folder, tmp_path / "chart")
    helpers = folder / "templates" / "_helpers.tpl"
    text = helpers.read_text("utf-8")
    found = re.sub(r"lookup .*?\) -\}\}", f'dict "spec" (dict "replicas" {live}) -}}}}', text)
    assert found != text
    helpers.write_text(found, "utf-8")
    chart = Chart(folder)
    values = merge(options(chart)[option], {"autoscaling": {"enabled": True, "minReplicas": 3}})
    assert one(chart.objects(values), kind)["spec"]["replicas"] == expected


def hooks(objects: list[Object]) -> list[str]:
    """Return the kinds of the hooks before an installation, in the order of their creation."""
    weighed = [
        (int(annotations.get("helm.sh/hook-weight", "0")), thing["kind"])
        for thing in objects
        if "pre-install"
        in (annotations := thing["metadata"].get("annotations", {})).get("helm.sh/hook", "")
    ]
    return [kind for _, kind in sorted(weighed)]


def test_policy_and_account_of_migration_exist_before_it(charts: Charts) -> None:
    """In a namespace that denies all traffic, the release's own policy would come too late."""
    chart = charts("defaults")
    assert hooks(chart.objects()) == ["NetworkPolicy", "Job"]
    objects = chart.objects(options(chart)["migration-own"])
    assert hooks(objects) == ["NetworkPolicy", "ServiceAccount", "Job"]
    spec = one(objects, "Job")["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "orders-migrate"
    (container,) = spec["containers"]
    secrets = {
        each["name"]: each["valueFrom"]["secretKeyRef"]["name"]
        for each in container["env"]
        if "valueFrom" in each
    }
    assert secrets == {"DATABASE_URL": "orders-owner"}


def test_migration_of_repeated_upgrade_does_not_replace_running_one(charts: Charts) -> None:
    """Helm deletes a hook of the same name before it creates it. The revision is in the name."""
    objects = charts("defaults").objects()
    job = one(objects, "Job")
    assert re.fullmatch(r"orders-migrate-\d+", job["metadata"]["name"])
    template = (charts("defaults").folder / "templates" / "migration.yaml").read_text("utf-8")
    assert "$.Release.Revision" in template
    assert job["spec"]["ttlSecondsAfterFinished"] > 3600


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_containers_get_environment_and_volumes(charts: Charts, kind: str) -> None:
    chart = charts("defaults")
    objects = chart.objects(merge(options(chart)["environment"], options(chart)["volumes"]))
    spec = one(objects, kind)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert options(chart)["environment"]["env"][0] in container["env"]
    assert [each for each in container["envFrom"] if "secretRef" in each]
    assert [volume["name"] for volume in spec["volumes"]] == ["tmp", "ca"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"tmp": "/tmp", "ca": "/etc/ca"}


def test_null_leaves_user_and_groups_to_platform(charts: Charts) -> None:
    chart = charts("defaults")
    objects = chart.objects(platform_values(chart, "openshift"))
    for owner, pod in pods(objects).items():
        assert pod["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }, owner


def test_every_object_and_pod_has_common_labels_and_annotations(charts: Charts) -> None:
    chart = charts("everything")
    objects = chart.objects(options(chart)["together"])
    metadata = [
        each["metadata"] for each in objects if not each["metadata"]["name"].endswith("extra")
    ]
    metadata += [pod["metadata"] for pod in pods(objects).values()]
    for each in metadata:
        assert each["labels"]["cost-center"] == "shop", each
        assert each["annotations"]["example.com/owner"] == "shop", each


def test_templates_in_extra_objects_are_rendered(charts: Charts) -> None:
    chart = charts("defaults")
    (extra,) = [
        thing
        for thing in chart.objects(options(chart)["extra-objects"])
        if thing["metadata"]["name"] == "orders-extra"
    ]
    assert extra["metadata"]["namespace"] == "shop"
    assert extra["data"] == {"note": "orders"}


@pytest.mark.parametrize("option", ["ingress", "gateway"])
def test_only_api_is_published(charts: Charts, option: str) -> None:
    chart = charts("defaults")
    text = "".join(chart.texts(options(chart)[option]).values())
    (kind,) = {"Ingress", "HTTPRoute"} & set(re.findall(r"^kind: (\w+)$", text, re.MULTILINE))
    spec = str(one(chart.objects(options(chart)[option]), kind)["spec"])
    assert "/items" in spec
    assert not re.search(r"'/'|/health|/docs|/openapi|9000|management", spec)


def test_usual_number_of_pods_is_replaced_in_few_steps(charts: Charts) -> None:
    update = one(charts("defaults").objects({"replicaCount": 200}), "Deployment")["spec"]
    assert update["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": 0}


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
