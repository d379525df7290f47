"""values.yaml and its schema say the same: each setting is described, and nothing else is taken."""

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from jsonschema import Draft202012Validator

from .conftest import Charts
from .helm import Chart, Object, helm
from .objects import VERSIONS, faults

Path = tuple[str, ...]

# Objects whose names are the user's own, and those that Kubernetes describes. `global` is Helm's.
FREE: set[Path] = {
    ("affinity", "nodeAffinity"),
    ("affinity", "podAffinity"),
    ("affinity", "podAntiAffinity"),
    ("config",),
    ("global",),
    ("ingress", "annotations"),
    ("monitoring", "dashboardLabels"),
    ("monitoring", "labels"),
    ("networkPolicy", "dependencies"),
    ("nodeSelector",),
    ("podAnnotations",),
    ("podLabels",),
    ("rollout", "steps", "*", "analysis"),
    ("service", "annotations"),
    ("serviceAccount", "annotations"),
}
# Settings that have no default, and why.
OPTIONAL: dict[Path, str] = {
    ("affinity", "nodeAffinity"): "nothing draws the pods to a node",
    ("affinity", "podAffinity"): "nothing draws the pods to others",
    ("affinity", "podAntiAffinity"): "`spread` keeps them apart",
    ("global",): "Helm adds it by itself",
    ("resources", "limits", "ephemeral-storage"): "nothing is written to a disk",
    ("resources", "requests", "ephemeral-storage"): "nothing is written to a disk",
}


def settings(schema: Object, root: Object, path: Path = ()) -> Iterator[tuple[Path, Object]]:
    """Yield every setting that a schema knows by name, with its place."""
    for name, setting in schema.get("properties", {}).items():
        yield (*path, name), resolved(setting, root)
        yield from settings(resolved(setting, root), root, (*path, name))


def resolved(schema: Object, root: Object) -> Object:
    """Follow a reference within the schema."""
    if "$ref" not in schema:
        return schema
    found: Object = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return found | schema


def parts(schema: Object, root: Object, path: Path = ()) -> Iterator[tuple[Path, Object]]:
    """Yield every node of a schema, with its place; "*" stands for any key, and for any item."""
    schema = resolved(schema, root)
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from parts(part, root, (*path, name))
    for part in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(part, dict):
            yield from parts(part, root, (*path, "*"))


def keys(values: Object, path: Path = ()) -> Iterator[Path]:
    for name, value in values.items():
        yield (*path, name)
        if isinstance(value, dict) and (*path, name) not in FREE:
            yield from keys(value, (*path, name))


def test_every_setting_of_values_yaml_is_in_the_schema_with_a_description(chart: Chart) -> None:
    described = dict(settings(chart.schema, chart.schema))
    for path in keys(chart.values):
        assert len(described[path]["description"].split()) > 1, path


def test_every_setting_of_the_schema_has_a_default_or_a_reason_to_have_none(chart: Chart) -> None:
    defaults = set(keys(chart.values))
    for path, _ in settings(chart.schema, chart.schema):
        assert (path in defaults) != (path in OPTIONAL), path


def free(schema: Object) -> set[Path]:
    """List the objects that take names which they do not know, but for labels of a selector."""
    return {
        path
        for path, part in parts(schema, schema)
        if ("object" in part.get("type", "") or "properties" in part)
        and part.get("additionalProperties") is not False
        and path[-1] != "matchLabels"
    }


def test_no_object_takes_names_that_it_does_not_know(chart: Chart) -> None:
    assert free(chart.schema) <= FREE


def test_what_is_excepted_from_these_rules_is_there(charts: Charts) -> None:
    schema = charts("everything").schema
    assert free(schema) == FREE
    assert OPTIONAL.keys() <= dict(settings(schema, schema)).keys()


def test_the_defaults_are_what_the_schema_allows(chart: Chart) -> None:
    Draft202012Validator.check_schema(chart.schema)
    Draft202012Validator(chart.schema).validate(chart.values)


# What Kubernetes takes, and a schema easily does not.
RIGHT = [
    'resources: {limits: {cpu: 2, memory: "1073741824"}}',
    'resources: {limits: {cpu: 1.5, memory: 1.5Gi}, requests: {cpu: "0.5", memory: 64M}}',
    "resources: {limits: {cpu: }}",
    "image: {repository: 'registry.example.com:5000/team/orders_api', tag: 1.0.0-rc.1_x}",
    "disruptionBudget: {maxUnavailable: 0}",
    "ingress: {enabled: true, hosts: [orders, '*.example.com', a-1.b-2.example]}",
    "networkPolicy: {nodes: [10.0.0.0/16, 'fd00::/8'], dependencies: }",
    "networkPolicy: {clients: [{podSelector: {}}, {ipBlock: {cidr: 0.0.0.0/0}}]}",
    "tolerations: [{operator: Exists}, {key: a, effect: NoExecute, tolerationSeconds: 3}]",
    "{secret: {keys: }, nodeSelector: {a: ''}, podLabels: {example.com/team: a.b-c_d}}",
    "global: {registry: anything}",
]


@pytest.mark.parametrize("text", RIGHT)
def test_what_kubernetes_takes_is_taken(charts: Charts, text: str) -> None:
    chart = charts("everything")
    values = helm().values_from_yaml(text)
    assert chart.answer(values) == ""
    found = [fault for thing in chart.objects(values) for fault in faults(thing, VERSIONS[-1])]
    assert found == []


def test_every_value_is_explained_where_it_stands(chart: Chart) -> None:
    """What a list holds is the business of the list."""
    lines = (chart.folder / "values.yaml").read_text("utf-8").splitlines()
    bare = [
        line
        for before, line in pairwise(["", *lines])
        if re.match(r" *[\w.]+:", line)
        and not before.strip().startswith("#")
        and not re.match(r" *(- |matchLabels|kubernetes.io|k8s-app|podSelector|namespaceS)", line)
    ]
    assert bare == []
