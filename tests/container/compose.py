"""Reads a Compose project: compose.yaml and each file that it includes."""

from pathlib import Path
from typing import Any

import yaml

Service = dict[str, Any]


class Composition:
    """The services of a project by name, its volumes, and the files that define them."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.services: dict[str, Service] = {}
        self.volumes: set[str] = set()
        self.files: list[Path] = []
        self._read(project / "compose.yaml")

    def _read(self, file: Path) -> None:
        content = yaml.safe_load(file.read_text("utf-8"))
        self.files.append(file)
        for included in content.get("include", ()):
            self._read(file.parent / included)
        for name, service in content["services"].items():
            assert name not in self.services, f"{file} defines {name} a second time"
            # A relative path is relative to the file that has it, not to the including file.
            mounts = [mount.split(":") for mount in service.get("volumes", ())]
            service["binds"] = {
                target: (file.parent / source).resolve()
                for source, target, *_ in mounts
                if source.startswith(".")
            }
            service["named_volumes"] = {
                source for source, *_ in mounts if not source.startswith(".")
            }
            self.services[name] = service
        self.volumes |= set(content.get("volumes", ()))

    def conditions(self, name: str) -> dict[str, str]:
        """Return the condition of each service that this one depends on."""
        dependencies = self.services[name].get("depends_on", {})
        return {other: each["condition"] for other, each in dependencies.items()}

    def started_before(self, name: str) -> set[str]:
        """Return all services that must start before this one."""
        found: set[str] = set()
        for other in self.conditions(name):
            found |= {other, *self.started_before(other)}
        return found

    def host_path(self, name: str, path: str) -> Path:
        """Return the file of the project that is mounted at a path in a container."""
        for target, source in self.services[name]["binds"].items():
            if Path(path).is_relative_to(target):
                return Path(source) / Path(path).relative_to(target)
        raise AssertionError(f"no file is mounted at {path} of {name}")
