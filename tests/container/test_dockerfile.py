"""Static tests of the Dockerfile."""

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
INSTRUCTIONS = instructions(DOCKERFILE)


def test_hadolint_reports_nothing_without_exceptions() -> None:
    program = str(ROOT / ".build/tools/bin/hadolint")
    command = [program, "--failure-threshold=style", str(DOCKERFILE)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "hadolint" not in DOCKERFILE.read_text("utf-8")


def test_uv_version_equals_that_of_makefile() -> None:
    (version,) = re.findall(r"uv==([\d.]+)", DOCKERFILE.read_text("utf-8"))
    makefile = (TEMPLATE / "Makefile").read_text("utf-8")
    assert re.findall(r"^UV_VERSION := (.+)$", makefile, re.MULTILINE) == [version]


def test_container_runs_without_privileges_and_without_shell() -> None:
    last = dict(INSTRUCTIONS)
    assert last["USER"] == "10001:10001"  # a number: Kubernetes cannot check whether a name is root
    assert json.loads(last["CMD"]) == ["python", "-m", "reference_service"]
    _, _, check = last["HEALTHCHECK"].partition("CMD ")
    assert json.loads(check) == ["python", "-m", "reference_service.healthcheck", "live"]


def test_stages_use_the_same_base_image() -> None:
    """Bytecode and the paths of a virtual environment are valid only for the same Python."""
    images = [rest.partition(" ")[0] for word, rest in INSTRUCTIONS if word == "FROM"]
    assert images == ["python:${PYTHON}-slim-trixie"] * 2


@pytest.mark.parametrize("more", [set(), {"migrations"}], ids=["nothing", "postgres"])
def test_build_context_has_required_files_and_no_secret(generate: Generate, more: set[str]) -> None:
    answers = dict.fromkeys(FEATURES, False) | {"docker": True, "postgres": bool(more)}
    made = generate(project_name="Orders", package_name="orders_api", **answers)
    for path in ("uv.lock", ".env", ".data/password", ".venv/bin/python", "src/__pycache__/x.pyc"):
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).touch()
    included = list(context(made))
    needed = {"README.md", "pyproject.toml", "src", "uv.lock"}
    assert {path.parts[0] for path in included} == needed | more
    assert not [path for path in included if path.suffix == ".pyc"]
    assert Path("src/orders_api/__main__.py") in included
