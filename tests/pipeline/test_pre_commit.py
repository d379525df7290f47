"""A commit, in a new service as its owner makes it: what is bad does not get in."""

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
    """Generate and set up a service, make it a repository, and install the hooks."""
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


def put(service: Path, name: str, content: str) -> Run:
    """Try to commit a new file, and leave no trace of it but the commit, if there was one."""
    (service / name).write_text(content, "utf-8")
    before = run("git", "rev-parse", "HEAD", cwd=service).stdout
    ended = commit(service, f"Add {name}")
    after = run("git", "rev-parse", "HEAD", cwd=service).stdout
    assert (before != after) == (ended.returncode == 0)
    run("git", "reset", "--quiet", "--hard", before.strip(), cwd=service)
    return ended


def test_what_is_good_is_committed(service: Path) -> None:
    ended = put(service, "src/truthful_service/pi.py", '"""A number."""\n\nPI = 3.14159\n')
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize(
    ("name", "content", "said"),
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
        ("dump.txt", "all that we know\n" * 70_000, "dump.txt"),
    ],
    ids=["format", "lint", "types", "token", "key", "size"],
)
def test_what_is_bad_is_not(service: Path, name: str, content: str, said: str) -> None:
    ended = put(service, name, content)
    assert ended.returncode != 0
    assert said in ended.stdout
    assert secret() not in ended.stdout


def test_only_what_is_committed_counts(service: Path) -> None:
    """A secret that lies beside it, on this machine alone, is nobody else's business."""
    (service / ".env").write_text(f"TOKEN={secret()}\n")
    ended = put(service, "note.md", "# A note\n")
    assert ended.returncode == 0, ended.stdout


def test_the_template_keeps_itself_to_the_same_hooks() -> None:
    ours, theirs = (
        (root / ".pre-commit-config.yaml").read_text("utf-8") for root in (ROOT, TEMPLATE)
    )
    assert yaml.safe_load(ours.replace(".build/tools/bin/", ".venv/bin/")) == yaml.safe_load(theirs)
