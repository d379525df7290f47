"""Workflows have few permissions, use pinned versions, and run only tested commands."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import TEMPLATE, files, generate_in

from hooks.post_gen_project import FEATURES
from pipeline.repository import TOOLS, run, steps, workflows
from tools.generate import ROOT

NOTHING: dict[str, object] = {feature: feature == "github" for feature in FEATURES}
COMBINATIONS: dict[str, dict[str, object]] = {
    "everything": dict.fromkeys(FEATURES, True),
    "nothing": NOTHING,
    "docker": NOTHING | {"docker": True},
    "kubernetes": NOTHING | {"kubernetes": True},
    "observability": NOTHING | {"observability": True},
}

# The commands that are not Makefile targets, each with the test that covers it.
TESTED_COMMANDS = {
    r"sudo apt-get update -qq": "needs root and a network",
    r"sudo apt-get install -qq --no-install-recommends [a-z -]+": ".ci/run installs the same",
    r"docker compose (build|up|exec|stop|logs)\b.*": "test_image_smoke.py, tests/container",
    r"(curl|test \"\$\(docker inspect) .*": "test_image_smoke.py",
    r"pip install --quiet --requirement \S+": "test_named_files_exist",
    r"(helm (lint|template)|kubernetes-validate|checkov) .*": "test_chart_commands.py",
    r"(cosign|docker login|install|sed) .*": "test_release_commands.py",
    r"(printf|digest=|helm (package|pull|registry|upgrade)).*": "test_release_commands.py",
    r"(git|gh|test) .*": "test_pull_request.py",
}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the template's repository and one project per combination."""
    return {"template": ROOT} | {
        name: generate_in(tmp_path_factory.mktemp(name), **answers)
        for name, answers in COMBINATIONS.items()
    }


@pytest.fixture(params=["template", *COMBINATIONS])
def root(request: pytest.FixtureRequest, roots: dict[str, Path]) -> Path:
    """Return one repository after the other."""
    return roots[request.param]


def test_zizmor_finds_nothing(root: Path) -> None:
    ended = run(TOOLS / "zizmor", "--offline", "--persona=auditor", ".github", cwd=root)
    assert ended.returncode == 0, ended.stdout
    assert "No findings to report." in ended.stdout


def test_zizmor_finds_the_faults_of_a_usual_workflow(tmp_path: Path) -> None:
    """The same command fails for a workflow with common mistakes."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "ci.yml").write_text(
        "on: pull_request\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n"
        "      - uses: actions/checkout@v6\n"
        "      - run: echo ${{ github.event.pull_request.title }}\n"
    )
    ended = run(TOOLS / "zizmor", "--offline", "--persona=auditor", ".github", cwd=tmp_path)
    assert ended.returncode != 0
    for finding in ("unpinned-uses", "template-injection", "excessive-permissions", "artipacked"):
        assert finding in ended.stdout


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [("github-workflows", "workflows/*.yml"), ("dependabot", "dependabot.yml")],
)
def test_files_match_their_schemas(roots: dict[str, Path], schema: str, pattern: str) -> None:
    found = {root: list((root / ".github").glob(pattern)) for root in roots.values()}
    assert all(found.values())
    names = [file for files_found in found.values() for file in files_found]
    ended = run(TOOLS / "check-jsonschema", f"--builtin-schema=vendor.{schema}", *names, cwd=ROOT)
    assert ended.returncode == 0, ended.stdout


def test_every_action_is_pinned_to_a_commit(root: Path) -> None:
    """A tag can be moved by its owner, or by an attacker."""
    files = (root / ".github" / "workflows").glob("*.yml")
    lines = [line for file in files for line in re.findall(r"uses: (.*)", file.read_text("utf-8"))]
    assert lines
    assert [
        line for line in lines if not re.fullmatch(r"\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
    ] == []


def test_action_has_the_same_version_everywhere() -> None:
    used = {
        (*step.content["uses"].split("@"),)
        for folder in (ROOT, TEMPLATE)
        for step in steps(folder)
        if "uses" in step.content
    }
    assert len(used) == len({action for action, _ in used})


def test_job_has_few_permissions_and_a_time_limit(root: Path) -> None:
    for name, workflow in workflows(root).items():
        assert workflow["permissions"] == {}
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"] <= 60
            writing = [right for right, level in job["permissions"].items() if level != "read"]
            assert not writing or name in {"pins.yml", "release.yml", "upgrade.yml"}


def test_job_with_write_access_runs_no_new_code(root: Path) -> None:
    for workflow in workflows(root).values():
        for job in workflow["jobs"].values():
            commands_of_job = [step["run"] for step in job["steps"] if "run" in step]
            assert "write" not in job["permissions"].values() or not any(
                re.search(r"\b(make|pip|uv|python)\b", command) for command in commands_of_job
            )


def test_checkout_does_not_persist_its_token(root: Path) -> None:
    found = [step for step in steps(root) if "actions/checkout" in step.content.get("uses", "")]
    assert found
    assert all(step.content["with"]["persist-credentials"] is False for step in found)


def test_every_command_is_tested(root: Path) -> None:
    for step in steps(root):
        if step.command and not step.command.startswith("make "):
            tested = [each for each in TESTED_COMMANDS if re.fullmatch(each, step.command)]
            assert tested, f"{step.workflow} runs an untested command: {step.command}"


def test_named_targets_exist(root: Path) -> None:
    for step in steps(root):
        if step.command.startswith("make "):
            makefile = (root / step.folder / "Makefile").read_text("utf-8")
            assert shlex.split(step.command)[1] in re.findall(r"^(\w+):", makefile, re.MULTILINE)


def test_named_files_exist(root: Path) -> None:
    for step in steps(root):
        for name in re.findall(r"--requirement (\S+)|(deploy/chart)", step.command):
            assert (root / "".join(name)).exists()


def test_ci_installs_the_same_system_packages() -> None:
    installed = (ROOT / ".ci" / "run").read_text("utf-8")
    for step in [*steps(ROOT), *steps(TEMPLATE)]:
        _, found, packages = step.command.partition("--no-install-recommends ")
        assert not found or all(f"({name})" in installed for name in packages.split())


def test_dependabot_covers_every_kind_of_version(root: Path) -> None:
    """A file that no update names would keep its versions forever."""
    kinds = {
        "github-actions": r"(.*/)?\.github/workflows/.*\.yml",
        "docker": r"(.*/)?Dockerfile",
        "docker-compose": r"(.*/)?(compose|deploy/compose/\w+)\.yaml",
        "pip": r"(.*/)?\.github/requirements/.*\.txt",
    }
    needed = {
        kind: {str(Path("/", path).parent) for path in paths(root) if re.fullmatch(pattern, path)}
        for kind, pattern in kinds.items()
    }
    updates = yaml.safe_load((root / ".github" / "dependabot.yml").read_text("utf-8"))["updates"]
    bots = {each["package-ecosystem"]: folders(root, each) for each in updates}
    assert bots == {kind: found for kind, found in needed.items() if found}


def paths(root: Path) -> list[str]:
    """List the files of a repository; of the template, only those that can contain versions."""
    folders = [ROOT / ".github", TEMPLATE] if root == ROOT else [root]
    return [str(path.relative_to(root)) for folder in folders for path in files(folder)]


def folders(root: Path, update: dict[str, Any]) -> set[str]:
    """Return the folders of an update. Actions are found from the root."""
    found: set[str] = set()
    for name in update.get("directories") or [update["directory"]]:
        if update["package-ecosystem"] == "github-actions" and name == "/":
            found.add("/.github/workflows")
        elif "*" in name:
            found |= {str(Path("/", path.relative_to(root))) for path in root.glob(name.strip("/"))}
        else:
            found.add(name)
    return found
