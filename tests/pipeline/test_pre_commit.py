"""Pre-commit hooks of a new service reject bad commits."""

import os
from pathlib import Path

import pytest
import yaml
from project import TEMPLATE, generate_in

from hooks.post_gen_project import FEATURES
from pipeline.repository import TOOLS, Run, commit, run, secret
from tools.generate import ROOT

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate a service, set it up as a repository, and install the hooks."""
    service = generate_in(tmp_path_factory.mktemp("commits"), **dict.fromkeys(FEATURES, False))
    variables = {"UV": os.environ.get("UV", "uv"), "UV_COMPILE_BYTECODE": "0"}
    ended = run("make", "settings", cwd=service, **variables)
    assert ended.returncode == 0, ended.stdout
    run("git", "init", "--quiet", "--initial-branch=main", cwd=service)
    ended = run(TOOLS / "prek", "install", cwd=service)
    assert ended.returncode == 0, ended.stdout
    ended = commit(service)
    assert ended.returncode == 0, ended.stdout
    return service


def try_commit(service: Path, name: str, content: str) -> Run:
    """Try to commit a new file, then reset the repository."""
    (service / name).write_text(content, "utf-8")
    before = run("git", "rev-parse", "HEAD", cwd=service).stdout
    ended = commit(service, f"Add {name}")
    after = run("git", "rev-parse", "HEAD", cwd=service).stdout
    assert (before != after) == (ended.returncode == 0)
    run("git", "reset", "--quiet", "--hard", before.strip(), cwd=service)
    return ended


def test_valid_file_is_committed(service: Path) -> None:
    ended = try_commit(service, "src/truthful_service/pi.py", '"""A number."""\n\nPI = 3.14159\n')
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pi.py", '"""A number."""\nPI   =  3.14159\n', "would be reformatted"),
        ("pi.py", '"""A number."""\n\nimport os\n\nPI = 3.14159\n', "F401"),
        ("src/truthful_service/pi.py", '"""A number."""\n\nPI: int = "3"\n', "[assignment]"),
        ("token.txt", f"token = {secret()}\n", "GITHUB-PAT"),
        (
            "key.pem",
            "-----BEGIN {0} KEY-----\n{1}\n-----END {0} KEY-----\n".format(
                "PRIVATE", "MC4CAQAw" * 16
            ),
            "PRIVATE-KEY",
        ),
        ("dump.txt", "all known rows\n" * 70_000, "dump.txt"),
    ],
    ids=["format", "lint", "types", "token", "key", "size"],
)
def test_invalid_file_is_rejected(service: Path, name: str, content: str, message: str) -> None:
    ended = try_commit(service, name, content)
    assert ended.returncode != 0
    assert message in ended.stdout
    assert secret() not in ended.stdout


def test_ignored_files_are_not_scanned(service: Path) -> None:
    """A secret in `.env` stays on this machine."""
    (service / ".env").write_text(f"TOKEN={secret()}\n")
    ended = try_commit(service, "note.md", "# A note\n")
    assert ended.returncode == 0, ended.stdout


def test_template_uses_the_same_hooks() -> None:
    of_template, of_service = (
        (root / ".pre-commit-config.yaml").read_text("utf-8") for root in (ROOT, TEMPLATE)
    )
    assert yaml.safe_load(of_template.replace(".build/tools/bin/", ".venv/bin/")) == yaml.safe_load(
        of_service
    )
