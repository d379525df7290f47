"""Builds a Dockerfile without Docker: each stage is a folder, and the folder `root` is its `/`."""

import os
import re
import shlex
import shutil
import subprocess
import venv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from string import Template

Instruction = tuple[str, str]
"""The keyword and its arguments."""


def instructions(file: Path) -> list[Instruction]:
    """Return the instructions of a Dockerfile."""
    lines = [line for line in file.read_text("utf-8").splitlines() if not re.match(r"\s*#", line)]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (word, rest)
        for word, _, rest in (line.partition(" ") for line in joined.split("\n"))
        if word
    ]


def context(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that its .dockerignore allows, relative to the folder."""
    patterns = [
        line
        for line in (folder / ".dockerignore").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        if not file.is_dir() and not is_ignored(path, patterns):
            yield path


def is_ignored(path: Path, patterns: list[str]) -> bool:
    """Return whether the last pattern that matches a path, or one of its folders, excludes it."""
    ignored = False
    for pattern in patterns:
        glob = pattern.removeprefix("!").removeprefix("**/")
        places = [path, *path.parents] if "**/" not in pattern else map(Path, path.parts)
        if any(fnmatch(str(place), glob) for place in places if place.name):
            ignored = not pattern.startswith("!")
    return ignored


class Build:
    """An image built from folders: `root` has its files, `settings` its other instructions.

    It uses the Python that runs the tests. Mounts of caches and secrets are ignored,
    but a file of certificates is passed as if it were the secret `ca`.
    """

    def __init__(
        self, source: Path, folder: Path, environment: Mapping[str, str], **arguments: str
    ) -> None:
        self.root = folder / "root"
        self.settings: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        """Environment variables of the image."""
        self.commands: list[str] = []
        """The RUN commands that were executed."""
        self._source, self._stages = source, folder / "stages"
        self._environment, self._arguments = environment, arguments
        self._values: dict[str, str] = {}
        self._stage = ""
        self._python = folder / "python"
        venv.create(self._python, with_pip=True)

    @property
    def folder(self) -> Path:
        """The working directory of its commands."""
        return self._inside(self.settings.get("WORKDIR", "/"))

    @property
    def path(self) -> str:
        """The search path: folders of the image, then of its Python, then of the machine."""
        named = self.variables.get("PATH", "").removesuffix("$PATH").split(":")
        own = [str(self._inside(folder)) for folder in named if folder]
        return os.pathsep.join([*own, str(self._python / "bin"), os.environ["PATH"]])

    def build(self) -> None:
        """Execute all instructions of the Dockerfile. Raises CalledProcessError."""
        for word, rest in instructions(self._source / "Dockerfile"):
            match word:
                case "FROM":
                    self._start_stage(rest)
                case "ARG":
                    self._set_argument(rest)
                case "ENV":
                    self.variables |= dict(each.split("=", 1) for each in shlex.split(rest))
                case "COPY":
                    self._copy(*rest.split())
                case "RUN":
                    self._run(rest)
                case _:
                    self.settings[word] = rest

    def _start_stage(self, rest: str) -> None:
        """Start a stage. The previous stage is moved aside and keeps its files."""
        if self.root.exists():
            self._stages.mkdir(exist_ok=True)
            self.root.rename(self._stages / self._stage)
        self.root.mkdir(parents=True)
        self._stage = rest.rpartition(" AS ")[2]
        self.settings, self.variables, self._values = {}, {}, {}

    def _set_argument(self, rest: str) -> None:
        name, has_default, default = rest.partition("=")
        if name in self._arguments:
            self._values[name] = self._arguments[name]
        elif has_default:
            self._values[name] = Template(default).substitute(defaultdict(str, self._values))

    def _copy(self, *words: str) -> None:
        *sources, target = words
        if sources[0].startswith("--from="):
            stage = self._stages / sources[0].removeprefix("--from=")
            for source in sources[1:]:
                place = self.folder / target
                shutil.copytree(stage / source.strip("/"), place, symlinks=True, dirs_exist_ok=True)
            return
        for path in context(self._source):
            if any(source in (".", path.parts[0]) for source in sources):
                place = self.folder / target / path
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self._source / path, place)

    def _run(self, rest: str) -> None:
        command = re.sub(r"--mount=\S+\s*", "", rest)
        variables = {**self._environment, **self._values, **self.variables, "PATH": self.path}
        variables |= {k: v for k, v in self._environment.items() if k == "SSL_CERT_FILE"}
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["sh", "-c", command], cwd=self.folder, env=variables, check=True)
        self.commands.append(command)

    def _inside(self, path: str) -> Path:
        return self.root / path.strip("/")
