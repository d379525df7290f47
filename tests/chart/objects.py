"""Validates objects with the schemas of Kubernetes and of its custom resources.

The schemas of Kubernetes come from the wheel of kubernetes-validate. Its command is not used: it
only warns about a custom resource and reads two megabytes for each object.
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
    """Return the folder of the strict schemas of a version, which reject unknown fields."""
    return WHEEL / f"v{version}.0-local-strict"


VERSIONS = sorted(
    (f"1.{minor}" for minor in range(25, 100) if strict(f"1.{minor}").is_dir()),
    key=lambda version: int(version.split(".")[1]),
)


@functools.cache
def definitions(version: str) -> "Registry[Any]":
    """Return the definitions that all schemas of a version refer to."""
    contents = json.loads((strict(version) / "_definitions.json").read_text("utf-8"))
    found: Registry[Any] = Registry().with_resource(DEFINITIONS, Resource.from_contents(contents))
    return found


@functools.cache
def validator(version: str, api: str, kind: str) -> Draft202012Validator:
    """Return the validator of a kind. Raises FileNotFoundError if the kind has no schema."""
    group, _, name = api.rpartition("/")
    if group in {"argoproj.io", "gateway.networking.k8s.io", "monitoring.coreos.com"}:
        file: Traversable = CUSTOM / f"{kind.lower()}.json"
    else:
        prefix = f"{group.split('.')[0]}-" if group else ""
        file = strict(version) / f"{kind.lower()}-{prefix}{name}.json"
    contents = {"$id": "https://kubernetes.io/api/object", **json.loads(file.read_text("utf-8"))}
    return Draft202012Validator(contents, registry=definitions(version))


def errors(thing: Object, version: str) -> list[str]:
    """Return the validation errors of an object for a Kubernetes version, each with its path."""
    found = validator(version, thing["apiVersion"], thing["kind"]).iter_errors(thing)
    return [f"{error.json_path}: {error.message}" for error in found]
