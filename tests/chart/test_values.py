"""values.yaml and its schema match: every value is described and no other name is accepted."""

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from jsonschema import Draft202012Validator

from .conftest import Charts
from .helm import Chart, Object, helm
from .objects import VERSIONS, errors

Path = tuple[str, ...]

# Objects that accept any name: the user's own, those of Kubernetes, and Helm's `global`.
OPEN_OBJECTS: set[Path] = {
    ("affinity", "nodeAffinity"),
    ("affinity", "podAffinity"),
    ("affinity", "podAntiAffinity"),
    ("autoscaling", "behavior"),
    ("autoscaling", "metrics", "*"),
    ("commonAnnotations",),
    ("commonLabels",),
    ("config",),
    ("env", "*"),
    ("envFrom", "*"),
    ("extraObjects", "*"),
    ("global",),
    ("httpRoute", "annotations"),
    ("httpRoute", "parentRefs", "*"),
    ("ingress", "annotations"),
    ("initContainers", "*"),
    ("migration", "annotations"),
    ("migration", "podAnnotations"),
    ("migration", "podLabels"),
    ("migration", "serviceAccount", "annotations"),
    ("monitoring", "alertLabels"),
    ("monitoring", "alerts"),
    ("monitoring", "dashboardLabels"),
    ("monitoring", "labels"),
    ("monitoring", "receivers", "*"),
    ("networkPolicy", "dependencies"),
    ("nodeSelector",),
    ("podAnnotations",),
    ("podLabels",),
    ("podSecurityContext", "seLinuxOptions"),
    ("rollout", "steps", "*", "analysis"),
    ("securityContext", "seLinuxOptions"),
    ("service", "annotations"),
    ("serviceAccount", "annotations"),
    ("sidecars", "*"),
    ("volumeMounts", "*"),
    ("volumes", "*"),
}
# Values without a default, with the reason.
OPTIONAL: dict[Path, str] = {
    ("affinity", "nodeAffinity"): "the chart has no preference for a node",
    ("affinity", "podAffinity"): "the chart has no preference for other pods",
    ("affinity", "podAntiAffinity"): "`topologySpread` separates the pods",
    ("global",): "Helm adds it",
    ("podSecurityContext", "fsGroupChangePolicy"): "the chart's volume is empty",
    ("podSecurityContext", "seLinuxOptions"): "the cluster's default",
    ("podSecurityContext", "seccompProfile", "localhostProfile"): "the default has no file",
    ("podSecurityContext", "supplementalGroups"): "the service reads no files of other groups",
    ("securityContext", "capabilities", "add"): "the service needs none",
    ("securityContext", "runAsGroup"): "the pod has it",
    ("securityContext", "runAsNonRoot"): "the pod has it",
    ("securityContext", "runAsUser"): "the pod has it",
    ("securityContext", "seLinuxOptions"): "the cluster's default",
    ("resources", "limits", "ephemeral-storage"): "the service writes nothing to a disk",
    ("resources", "requests", "ephemeral-storage"): "the service writes nothing to a disk",
}


def settings(schema: Object, root: Object, path: Path = ()) -> Iterator[tuple[Path, Object]]:
    """Yield every named value of a schema with its path."""
    for name, setting in schema.get("properties", {}).items():
        yield (*path, name), resolved(setting, root)
        yield from settings(resolved(setting, root), root, (*path, name))


def resolved(schema: Object, root: Object) -> Object:
    """Return the schema with its reference resolved."""
    if "$ref" not in schema:
        return schema
    found: Object = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return found | schema


def nodes(schema: Object, root: Object, path: Path = ()) -> Iterator[tuple[Path, Object]]:
    """Yield every node of a schema with its path; "*" is any key or any item."""
    schema = resolved(schema, root)
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, root, (*path, name))
    for part in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(part, dict):
            yield from nodes(part, root, (*path, "*"))


def keys(values: Object, path: Path = ()) -> Iterator[Path]:
    for name, value in values.items():
        yield (*path, name)
        if isinstance(value, dict) and (*path, name) not in OPEN_OBJECTS:
            yield from keys(value, (*path, name))


def test_schema_describes_every_value(chart: Chart) -> None:
    described = dict(settings(chart.schema, chart.schema))
    for path in keys(chart.values):
        assert len(described[path]["description"].split()) > 1, path


def test_every_value_of_schema_has_default_or_reason(chart: Chart) -> None:
    defaults = set(keys(chart.values))
    for path, _ in settings(chart.schema, chart.schema):
        assert (path in defaults) != (path in OPTIONAL), path


def open_objects(schema: Object) -> set[Path]:
    """Return the paths of objects that accept unknown names, except labels of a selector."""
    return {
        path
        for path, part in nodes(schema, schema)
        if ("object" in part.get("type", "") or "properties" in part)
        and part.get("additionalProperties") is not False
        and path[-1] != "matchLabels"
    }


def test_objects_reject_unknown_names(chart: Chart) -> None:
    assert open_objects(chart.schema) <= OPEN_OBJECTS


def test_exceptions_exist_in_schema(charts: Charts) -> None:
    schema = charts("everything").schema
    assert open_objects(schema) == OPEN_OBJECTS
    assert OPTIONAL.keys() <= dict(settings(schema, schema)).keys()


def test_defaults_are_valid(chart: Chart) -> None:
    Draft202012Validator.check_schema(chart.schema)
    Draft202012Validator(chart.schema).validate(chart.values)


# Values that Kubernetes accepts and that a strict schema easily rejects.
VALID = [
    'resources: {limits: {cpu: 2, memory: "1073741824"}}',
    'resources: {limits: {cpu: 1.5, memory: 1.5Gi}, requests: {cpu: "0.5", memory: 64M}}',
    "resources: {limits: {cpu: }}",
    "image: {repository: 'registry.example.com:5000/team/orders_api', tag: 1.0.0-rc.1_x}",
    "podDisruptionBudget: {maxUnavailable: 0}",
    "ingress: {enabled: true, hosts: [orders, '*.example.com', a-1.b-2.example]}",
    "networkPolicy: {nodes: [10.0.0.0/16, 'fd00::/8'], dependencies: }",
    "networkPolicy: {clients: [{podSelector: {}}, {ipBlock: {cidr: 0.0.0.0/0}}]}",
    "tolerations: [{operator: Exists}, {key: a, effect: NoExecute, tolerationSeconds: 3}]",
    "{secret: {keys: }, nodeSelector: {a: ''}, podLabels: {example.com/team: a.b-c_d}}",
    "global: {registry: anything}",
    "podSecurityContext: {runAsUser: , runAsGroup: , fsGroup: }",
    "securityContext: {readOnlyRootFilesystem: false, capabilities: {add: [SYS_PTRACE]}}",
    "updateStrategy: {maxSurge: 0, maxUnavailable: 25%}",
    "maxDatabaseConnections: 52",
    "ingress: {enabled: true, hosts: [orders], paths: [/]}",
    "{service: {ipFamilies: [IPv6, IPv4]}, config: {SERVICE_HOST: '::'}}",
    "env: [{name: A, valueFrom: {secretKeyRef: {name: b, key: c}}}, {name: B, value: $(A)}]",
]


@pytest.mark.parametrize("text", VALID)
def test_valid_values_are_accepted(charts: Charts, text: str) -> None:
    chart = charts("everything")
    values = helm().values_from_yaml(text)
    assert chart.error(values) == ""
    found = [error for thing in chart.objects(values) for error in errors(thing, VERSIONS[-1])]
    assert found == []


def test_every_value_has_comment(chart: Chart) -> None:
    """Items of a list need none."""
    lines = (chart.folder / "values.yaml").read_text("utf-8").splitlines()
    bare = [
        line
        for before, line in pairwise(["", *lines])
        if re.match(r" *[\w.]+:", line)
        and not before.strip().startswith("#")
        and not re.match(r" *(- |matchLabels|kubernetes.io|k8s-app|podSelector|namespaceS)", line)
    ]
    assert bare == []
