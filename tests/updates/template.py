"""The template as a repository with an invented history: a checkout can have none."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

from pipeline.repository import commit, run
from project import TEMPLATE

from hooks.post_gen_project import BUILD_ARTIFACTS
from tools.generate import ROOT

# A file of the template that the team deletes.
DELETED = "docs/decisions/0001-answer-probes-from-memory.md"


class Template(NamedTuple):
    """A repository of the template and two of its commits. The newest is checked out."""

    folder: Path
    older: str
    newest: str


def git(folder: Path, *words: str) -> str:
    """Run git and return its output."""
    ended = run("git", *words, cwd=folder)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout.strip()


def build(folder: Path) -> Template:
    """Create a repository whose newest commit is this checkout with its uncommitted changes."""
    commits = []
    for is_older in (True, False):
        copy_template(folder)
        if is_older:
            make_older(folder)
        ended = commit(folder)
        assert ended.returncode == 0, ended.stdout
        commits.append(git(folder, "rev-parse", "HEAD"))
    return Template(folder, *commits)


def copy_template(folder: Path) -> None:
    """Replace the content of `folder` by what the generation needs."""
    folder.mkdir(exist_ok=True)
    for name in ("hooks", TEMPLATE.name):
        shutil.rmtree(folder / name, ignore_errors=True)
        ignored = shutil.ignore_patterns(*BUILD_ARTIFACTS)
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "cookiecutter.json", folder)


def make_older(folder: Path) -> None:
    """Turn the template into an older version: one of each kind of change is still missing."""
    service = folder / TEMPLATE.name
    replace(service / "README.md", "\n## Run\n", "\n## Start\n")
    replace(service / "pyproject.toml", r'"fastapi==[\d.]+"', '"fastapi==0.1.0"')
    replace(service / "deploy/prometheus/rules/health.yaml", r"\Z", "# Older.\n")
    replace(service / DELETED, r"\Z", "\nOlder.\n")
    (service / "docs" / "older.md").write_text("No longer there.\n", "utf-8")
    (service / "src" / "reference_service" / "api/errors.py").unlink()
    # The older version has no question about gRPC, and one question that was removed later.
    replace(folder / "cookiecutter.json", r'  "grpc": false,\n', '  "older": true,\n')
    replace(folder / "hooks" / "post_gen_project.py", r"answers\[feature\]", "answers.get(feature)")


def replace(file: Path, pattern: str, replacement: str) -> None:
    """Replace the only match of a pattern in a file."""
    text, found = re.subn(pattern, replacement, file.read_text("utf-8"))
    assert found == 1, f"{file.name} contains {pattern!r} {found} times"
    file.write_text(text, "utf-8")
