"""The template as a repository with a past, which is made up: a checkout may have none."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

from pipeline.repository import commit, run
from project import TEMPLATE

from hooks.post_gen_project import BUILD_ARTIFACTS
from tools.generate import ROOT

# A file of the template that teams delete.
DELETED = "docs/decisions/0001-answer-probes-from-memory.md"


class Template(NamedTuple):
    """A repository of the template, and two of its commits; it is at the newest."""

    folder: Path
    older: str
    newest: str


def git(folder: Path, *words: str) -> str:
    """Run git, and return what it says."""
    ended = run("git", *words, cwd=folder)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout.strip()


def build(folder: Path) -> Template:
    """Make a repository in which this checkout, uncommitted changes included, is the newest."""
    commits = []
    for is_older in (True, False):
        lay(folder)
        if is_older:
            age(folder)
        ended = commit(folder)
        assert ended.returncode == 0, ended.stdout
        commits.append(git(folder, "rev-parse", "HEAD"))
    return Template(folder, *commits)


def lay(folder: Path) -> None:
    """Copy to `folder` what generating needs, in the place of what is there."""
    folder.mkdir(exist_ok=True)
    for name in ("hooks", TEMPLATE.name):
        shutil.rmtree(folder / name, ignore_errors=True)
        ignored = shutil.ignore_patterns(*BUILD_ARTIFACTS)
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "cookiecutter.json", folder)


def age(folder: Path) -> None:
    """Make the template what it could have been: every kind of change is yet to come."""
    service = folder / TEMPLATE.name
    replace(service / "README.md", "\n## Run\n", "\n## Start\n")
    replace(service / "pyproject.toml", r'"fastapi==[\d.]+"', '"fastapi==0.1.0"')
    replace(service / "deploy/prometheus/rules/health.yaml", r"\Z", "# Older.\n")
    replace(service / DELETED, r"\Z", "\nOlder.\n")
    (service / "docs" / "older.md").write_text("No longer there.\n", "utf-8")
    (service / "src" / "reference_service" / "api/errors.py").unlink()
    # It did not ask about gRPC yet, and asked what it does not ask any more.
    replace(folder / "cookiecutter.json", r'  "grpc": false,\n', '  "older": true,\n')
    replace(folder / "hooks" / "post_gen_project.py", r"answers\[feature\]", "answers.get(feature)")


def replace(file: Path, pattern: str, replacement: str) -> None:
    """Replace what a pattern matches exactly once."""
    text, found = re.subn(pattern, replacement, file.read_text("utf-8"))
    assert found == 1, f"{file.name} has {pattern!r} {found} times"
    file.write_text(text, "utf-8")
