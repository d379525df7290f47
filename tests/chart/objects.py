"""Holds objects to the schemas of Kubernetes, and custom resources to those of their definitions.

Kubernetes' own come with the wheel of kubernetes-validate, whose command only warns of a custom
resource, and reads two megabytes anew for each object.
"""

import functools
import json
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

Object = dict[str, Any]

WHEEL = resources.files("kubernetes_validate") / "kubernetes-json-schema"
CUSTOM = Path(__file__).parent / "schemas"
DEFINITIONS = "https://kubernetes.io/api/_definitions.json"


def strict(version: str) -> Traversable:
    """Return the folder of the schemas of a version that refuse unknown fields."""
    return WHEEL / f"v{version}.0-local-strict"


VERSIONS = sorted(
    (f"1.{minor}" for minor in range(25, 100) if strict(f"1.{minor}").is_dir()),
    key=lambda version: int(version.split(".")[1]),
)


@functools.cache
def definitions(version: str) -> "Registry[Any]":
    """Read what the schemas of a version have in common."""
    contents = json.loads((strict(version) / "_definitions.json").read_text("utf-8"))
    found: Registry[Any] = Registry().with_resource(DEFINITIONS, Resource.from_contents(contents))
    return found


@functools.cache
def validator(version: str, api: str, kind: str) -> Draft202012Validator:
    """Find the schema of a kind; a kind that has none is an error, and not passed over."""
    group, _, name = api.rpartition("/")
    if group in {"argoproj.io", "monitoring.coreos.com"}:
        file: Traversable = CUSTOM / f"{kind.lower()}.json"
    else:
        prefix = f"{group.split('.')[0]}-" if group else ""
        file = strict(version) / f"{kind.lower()}-{prefix}{name}.json"
    contents = {"$id": "https://kubernetes.io/api/object", **json.loads(file.read_text("utf-8"))}
    return Draft202012Validator(contents, registry=definitions(version))


def faults(thing: Object, version: str) -> list[str]:
    """Say what an API server of this version would refuse in an object, each with its place."""
    found = validator(version, thing["apiVersion"], thing["kind"]).iter_errors(thing)
    return [f"{error.json_path}: {error.message}" for error in found]
