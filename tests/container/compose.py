"""Reads a composition as Compose does: compose.yaml, and each file that it includes."""

from pathlib import Path
from typing import Any

import yaml

Service = dict[str, Any]


class Composition:
    """The services of a project by name, the volumes, and the files that tell of them."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.services: dict[str, Service] = {}
        self.volumes: set[str] = set()
        self.files: list[Path] = []
        self._read(project / "compose.yaml")

    def _read(self, file: Path) -> None:
        said = yaml.safe_load(file.read_text("utf-8"))
        self.files.append(file)
        for included in said.get("include", ()):
            self._read(file.parent / included)
        for name, service in said["services"].items():
            assert name not in self.services, f"{file} has another {name}"
            # Whatever a file names lies beside it, and not beside the one that includes it.
            mounts = [mount.split(":") for mount in service.get("volumes", ())]
            service["binds"] = {
                target: (file.parent / source).resolve()
                for source, target, *_ in mounts
                if source.startswith(".")
            }
            service["stores"] = {source for source, *_ in mounts if not source.startswith(".")}
            self.services[name] = service
        self.volumes |= set(said.get("volumes", ()))

    def conditions(self, name: str) -> dict[str, str]:
        """Return what a service waits for, and for what of it."""
        waits = self.services[name].get("depends_on", {})
        return {other: wait["condition"] for other, wait in waits.items()}

    def awaited(self, name: str) -> set[str]:
        """Return all that has to be there before a service starts."""
        found: set[str] = set()
        for other in self.conditions(name):
            found |= {other, *self.awaited(other)}
        return found

    def host_path(self, name: str, path: str) -> Path:
        """Return what lies at a path in a service's container, if it was mounted there."""
        for target, source in self.services[name]["binds"].items():
            if Path(path).is_relative_to(target):
                return Path(source) / Path(path).relative_to(target)
        raise AssertionError(f"nothing is mounted at {path} of {name}")
