"""Static tests of the Dockerfile."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import TEMPLATE, Generate

from hooks.post_gen_project import FEATURES
from tools.generate import ROOT

from .dockerfile import context, instructions
from .private_index import PrivateIndex

DOCKERFILE = TEMPLATE / "Dockerfile"
INSTRUCTIONS = instructions(DOCKERFILE)
UV = os.environ.get("UV") or shutil.which("uv") or ROOT / ".build/.uv/bin/uv"


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
    assert images[1:] == ["base", "base"]


def test_base_image_is_pinned_where_dependabot_finds_it() -> None:
    """Dependabot reads FROM, but no variable in it, and moves the tag and the digest together."""
    image, *stage = dict(reversed(INSTRUCTIONS))["FROM"].split()
    assert re.fullmatch(r"python:3\.\d+-slim-trixie@sha256:[0-9a-f]{64}", image)
    assert stage == ["AS", "base"]


def test_each_installation_can_use_the_password_and_the_authority_of_an_index() -> None:
    installations = [rest for word, rest in INSTRUCTIONS if re.search(r"pip install|uv sync", rest)]
    assert len(installations) == 3
    for each in installations:
        assert "--mount=type=secret,id=netrc,target=/root/.netrc" in each
        assert "--mount=type=secret,id=ca " in each
    (variables,) = [rest for word, rest in INSTRUCTIONS if word == "ENV" and "CERT" in rest]
    assert "SSL_CERT_FILE=/run/secrets/ca" in variables  # where Docker puts the secret


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_index_of_an_own_authority_is_used_only_with_its_certificate(
    private_index: PrivateIndex, tmp_path: Path, tool: str, *, trusted: bool
) -> None:
    """Without the secret, the file that the variable names does not exist."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "UV_")) and "CERT" not in name and "CA_BUNDLE" not in name
    }
    certificates = private_index.authority if trusted else tmp_path / "missing"
    target = ["--target", str(tmp_path / "target"), "--index-url", private_index.url, "idna"]
    if tool == "uv":
        command = [UV, "pip", "install", "--no-cache", *target]
    else:  # the version of the image is newer than that of this Python
        subprocess.run(
            [UV, "pip", "install", "-q", "--target", tmp_path / "pip", "pip"], check=True
        )
        command = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--retries=0", *target]
        variables["PYTHONPATH"] = str(tmp_path / "pip")
    variables |= {"SSL_CERT_FILE": str(certificates), "PIP_CONFIG_FILE": os.devnull}
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode  # the index is empty
    assert ("/simple/idna/" in private_index.requests) is trusted, ended.stderr


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
