"""What can be said of the Dockerfile by reading it."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from project import TEMPLATE, Generate

from hooks.post_gen_project import FEATURES
from tools.generate import ROOT

from .dockerfile import context, instructions

DOCKERFILE = TEMPLATE / "Dockerfile"
SAID = instructions(DOCKERFILE)


def test_a_linter_finds_nothing_and_is_told_to_overlook_nothing() -> None:
    program = str(ROOT / ".build/tools/bin/hadolint")
    linted = [program, "--failure-threshold=style", str(DOCKERFILE)]
    ended = subprocess.run(linted, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "hadolint" not in DOCKERFILE.read_text("utf-8")


def test_uv_is_of_the_version_that_the_makefile_has() -> None:
    (here,) = re.findall(r"uv==([\d.]+)", DOCKERFILE.read_text("utf-8"))
    makefile = (TEMPLATE / "Makefile").read_text("utf-8")
    assert re.findall(r"^UV_VERSION := (.+)$", makefile, re.MULTILINE) == [here]


def test_whoever_runs_it_has_no_rights_and_needs_no_shell() -> None:
    last = dict(SAID)
    assert last["USER"] == "10001:10001"  # a number: Kubernetes cannot tell whether a name is root
    assert json.loads(last["CMD"]) == ["python", "-m", "reference_service"]
    _, _, check = last["HEALTHCHECK"].partition("CMD ")
    assert json.loads(check) == ["python", "-m", "reference_service.health", "live"]


def test_every_stage_is_of_one_image() -> None:
    """Bytecode and the paths of an environment are good for the very Python that they are for."""
    images = [rest.partition(" ")[0] for word, rest in SAID if word == "FROM"]
    assert images == ["python:${PYTHON}-slim-trixie"] * 2


@pytest.mark.parametrize("more", [set(), {"migrations"}], ids=["nothing", "postgres"])
def test_a_build_is_given_what_it_needs_and_no_secret(generate: Generate, more: set[str]) -> None:
    chosen = dict.fromkeys(FEATURES, False) | {"docker": True, "postgres": bool(more)}
    made = generate(project_name="Orders", package_name="orders_api", **chosen)
    for path in ("uv.lock", ".env", ".data/password", ".venv/bin/python", "src/__pycache__/x.pyc"):
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).touch()
    given = list(context(made))
    needed = {"README.md", "pyproject.toml", "src", "uv.lock"}
    assert {path.parts[0] for path in given} == needed | more
    assert not [path for path in given if path.suffix == ".pyc"]
    assert Path("src/orders_api/__main__.py") in given
