"""The weekly workflows open pull requests: their commands run on real repositories."""

import os
from pathlib import Path

import pytest
from project import TEMPLATE

from pipeline.repository import commit, run, shell, steps
from tools.generate import ROOT

BOTH = pytest.mark.parametrize(
    ("root", "workflow", "branch"),
    [(ROOT, "pins.yml", "pins"), (TEMPLATE, "upgrade.yml", "upgrade")],
    ids=["template", "service"],
)
GH = """#!/bin/sh
echo "$@" >> "$CALLS"
[ "$1 $2" != "pr list" ] || cat "$OPEN"
"""


def run_job(root: Path, workflow: str, job: str, folder: Path, **variables: str) -> None:
    """Run the commands of a job in a folder, except `make` and `sudo`."""
    for step in steps(root):
        command = step.command
        of_job = step.workflow == workflow and step.job["name"] == job
        if of_job and command and not command.startswith(("make ", "sudo ")):
            ended = shell(command, folder, **variables, **step.content.get("env", {}))
            assert ended.returncode == 0, f"{command}\n{ended.stdout}"


def jobs(root: Path, workflow: str) -> list[str]:
    """Return the names of the jobs of a workflow, in order."""
    return list(
        dict.fromkeys(step.job["name"] for step in steps(root) if step.workflow == workflow)
    )


@BOTH
@pytest.mark.parametrize("is_open", [False, True], ids=["first", "again"])
def test_changes_are_pushed_and_proposed_once(
    root: Path, workflow: str, branch: str, *, is_open: bool, tmp_path: Path
) -> None:
    origin, folder = tmp_path / "origin.git", tmp_path / "work"
    run("git", "init", "--quiet", "--bare", "--initial-branch=main", origin, cwd=tmp_path)
    folder.mkdir()
    (folder / "uv.lock").write_text("old\n")
    commit(folder)
    run("git", "remote", "add", "origin", origin, cwd=folder)
    run("git", "push", "--quiet", "origin", "main", cwd=folder)
    calls = tmp_path / "calls"
    (tmp_path / "open").write_text('{"number":1}\n' if is_open else "")
    script = tmp_path / "bin" / "gh"
    script.parent.mkdir()
    script.write_text(GH)
    script.chmod(0o755)
    variables = {
        "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
        "CALLS": str(calls),
        "OPEN": str(tmp_path / "open"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    test, propose = jobs(root, workflow)

    (folder / "uv.lock").write_text("new\n")
    run_job(root, workflow, test, folder, **variables)
    run("git", "checkout", "--quiet", "uv.lock", cwd=folder)  # the second job has its own clone
    run_job(root, workflow, propose, folder, **variables)

    assert (tmp_path / "output").read_text() == "moved=yes\n"
    assert run("git", "show", f"{branch}:uv.lock", cwd=origin).stdout == "new\n"
    assert run("git", "show", "main:uv.lock", cwd=origin).stdout == "old\n"
    assert ("pr create" in calls.read_text()) == (not is_open)


@BOTH
def test_no_changes_give_no_pull_request(
    root: Path, workflow: str, branch: str, tmp_path: Path
) -> None:
    (tmp_path / "uv.lock").write_text("old\n")
    commit(tmp_path)
    output = tmp_path / "output"
    run_job(root, workflow, jobs(root, workflow)[0], tmp_path, GITHUB_OUTPUT=str(output))
    assert not output.exists()
    assert (tmp_path / f"{branch}.patch").read_text() == ""
