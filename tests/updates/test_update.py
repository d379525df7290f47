"""`cruft update` merges changes of the template and keeps the changes of the team."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from .team import (
    ANSWERS,
    copied,
    cruft,
    difference,
    generate,
    has_equal_copies,
    own_files,
    save,
    status,
    update,
    work,
)
from .template import Template, git, replace


class Updated(NamedTuple):
    """A service that was updated after its team changed it."""

    folder: Path
    own_files_before: dict[str, tuple[str, int]]


@pytest.fixture(scope="module")
def updated(older: Path, tmp_path_factory: pytest.TempPathFactory) -> Updated:
    """Change a service of the older template, and update it."""
    service = copied(older, tmp_path_factory.mktemp("updated"))
    work(service)
    save(service, "Change the service")
    before = own_files(service)
    update(service)
    save(service, "Follow the template")
    return Updated(service, before)


def test_updated_service_equals_new_service_with_the_same_changes(
    updated: Updated, template: Template, tmp_path: Path
) -> None:
    expected = generate(template, tmp_path)
    work(expected)
    assert difference(updated.folder, expected) == ""


def test_update_keeps_copies_environment_lock_file_and_data(
    updated: Updated,
) -> None:
    assert has_equal_copies(updated.folder)
    assert own_files(updated.folder) == updated.own_files_before


def test_update_keeps_answers_adds_new_questions_and_drops_old_ones(
    updated: Updated, template: Template
) -> None:
    state = json.loads((updated.folder / ".cruft.json").read_text("utf-8"))
    answers = state["context"]["cookiecutter"]
    assert state["commit"] == template.newest
    assert answers.items() >= ANSWERS.items()
    assert answers["grpc"] is False
    assert "older" not in answers


def test_template_commit_without_effect_changes_only_cruft_json(
    updated: Updated, template: Template, tmp_path: Path
) -> None:
    service = copied(updated.folder, tmp_path)
    shutil.copytree(template.folder, tmp_path / "candid")
    (tmp_path / "candid" / "CHANGELOG.md").write_text("News.\n", "utf-8")
    save(tmp_path / "candid", "News")
    cruft(service, "update", "-y", "--template-path", str(tmp_path / "candid"))
    assert status(service) == ["M .cruft.json"]


def test_same_line_changed_by_both_sides_becomes_a_conflict(older: Path, tmp_path: Path) -> None:
    service = copied(older, tmp_path)
    replace(service / "README.md", "\n## Start\n", "\n## Edited\n")
    save(service, "Change the heading")
    update(service)
    assert git(service, "diff", "--name-only", "--diff-filter=U") == "README.md"
    both = "<<<<<<< ours\n## Edited\n=======\n## Run\n>>>>>>> theirs\n"
    assert both in (service / "README.md").read_text("utf-8")
    assert "fastapi==0.1.0" not in (service / "pyproject.toml").read_text("utf-8")


def test_change_of_an_unknown_version_is_rejected_into_a_rej_file(
    older: Path, tmp_path: Path
) -> None:
    service = copied(older, tmp_path)
    shutil.rmtree(service / ".git")
    replace(service / "README.md", "\n## Start\n", "\n## Edited\n")
    save(service, "The first commit is not as generated")
    edited = (service / "README.md").read_text("utf-8")
    update(service)
    assert (service / "README.md").read_text("utf-8") == edited
    assert "-## Start\n+## Run\n" in (service / "README.md.rej").read_text("utf-8")
    assert "fastapi==0.1.0" not in (service / "pyproject.toml").read_text("utf-8")
