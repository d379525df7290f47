"""Turn a generated service into a repository with tools, and read workflows."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.generate import ROOT, environment

TOOLS = Path(sys.executable).parent
ENVIRONMENT = environment() | {
    # The scanner compiles its rules once; that takes seconds.
    "KF_RULE_CACHE_DIR": str(ROOT / ".build" / "kingfisher"),
    "PREK_HOME": str(ROOT / ".build" / "prek"),
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}

Run = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Step:
    """One step of a workflow, with its workflow and job."""

    workflow: str
    job: Mapping[str, Any]
    content: Mapping[str, Any]

    @property
    def command(self) -> str:
        """The shell commands of the step, or an empty string."""
        return str(self.content.get("run", ""))

    @property
    def folder(self) -> str:
        """The working directory of the step, relative to the repository."""
        return str(self.job.get("defaults", {}).get("run", {}).get("working-directory", "."))


def workflows(root: Path) -> dict[str, Any]:
    """Map the file names of the workflows of a repository to their content."""
    folder = root / ".github" / "workflows"
    return {file.name: yaml.safe_load(file.read_text("utf-8")) for file in folder.glob("*.yml")}


def steps(root: Path) -> Iterator[Step]:
    """Yield the steps of all workflows of a repository."""
    for name, workflow in workflows(root).items():
        for job in workflow["jobs"].values():
            yield from (Step(name, job, step) for step in job["steps"])


def commands(root: Path, workflow: str, pattern: str) -> list[str]:
    """Return the commands of a workflow that match a pattern, in order."""
    return [
        step.command
        for step in steps(root)
        if step.workflow == workflow and re.search(pattern, step.command)
    ]


def run(*command: str | Path, cwd: Path, **variables: str) -> Run:
    """Run a command without the variables of the template, and capture its output."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=ENVIRONMENT | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def shell(script: str, cwd: Path, **variables: str) -> Run:
    """Run the script of a step with the shell options of GitHub Actions."""
    return run(
        "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script, cwd=cwd, **variables
    )


def commit(folder: Path, message: str = "Begin") -> Run:
    """Commit all changes. Create the repository if it does not exist."""
    for words in (["init", "--quiet", "--initial-branch=main"], ["add", "--all"]):
        ended = run("git", *words, cwd=folder)
        assert ended.returncode == 0, ended.stdout
    return run("git", "commit", "--quiet", "--message", message, cwd=folder)


def equip(service: Path) -> None:
    """Lock a service, and link the tools of the template as its environment: a fast set-up."""
    ended = run(os.environ.get("UV", "uv"), "lock", "--quiet", cwd=service)
    assert ended.returncode == 0, ended.stdout
    folder = service / ".venv" / "bin"
    folder.mkdir(parents=True)
    for tool in ("kingfisher", "python", "zizmor"):
        (folder / tool).symlink_to(TOOLS / tool)
    (folder.parent / ".ready").touch()  # make then does not install anything


def secret() -> str:
    """Return a string that looks like an access token. It is composed, so no file contains it."""
    return (
        "ghp_"
        + "".join(chr(ord("a") + (7 * n * n + n) % 26) for n in range(18))
        + "Q7xW2mK9vR4tZ8bN5c"
    )
