"""A service follows the template by cruft: what is new comes, what the team has made stays."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from .team import (
    ANSWERS,
    LINKS,
    belongings,
    copied,
    cruft,
    difference,
    generate,
    links,
    save,
    status,
    update,
    work,
)
from .template import Template, git, replace


class Updated(NamedTuple):
    """A service that was updated after its team had worked on it."""

    folder: Path
    belongings_before: dict[str, tuple[str, int]]


@pytest.fixture(scope="module")
def updated(older: Path, tmp_path_factory: pytest.TempPathFactory) -> Updated:
    """Work on a service of the older template, and update it."""
    service = copied(older, tmp_path_factory.mktemp("updated"))
    work(service)
    save(service, "Our work")
    before = belongings(service)
    update(service)
    save(service, "Follow the template")
    return Updated(service, before)


def test_an_updated_service_is_a_new_one_with_the_teams_work(
    updated: Updated, template: Template, tmp_path: Path
) -> None:
    expected = generate(template, tmp_path)
    work(expected)
    assert difference(updated.folder, expected) == ""


def test_the_chart_has_its_links_and_the_team_its_environment_lock_file_and_data_as_before(
    updated: Updated,
) -> None:
    assert links(updated.folder) == LINKS
    assert belongings(updated.folder) == updated.belongings_before


def test_answers_are_kept_a_new_question_gets_its_default_and_an_old_one_goes(
    updated: Updated, template: Template
) -> None:
    state = json.loads((updated.folder / ".cruft.json").read_text("utf-8"))
    answers = state["context"]["cookiecutter"]
    assert state["commit"] == template.newest
    assert answers.items() >= ANSWERS.items()
    assert answers["grpc"] is False
    assert "older" not in answers


def test_a_commit_of_the_template_that_changes_no_service_changes_only_what_cruft_notes(
    updated: Updated, template: Template, tmp_path: Path
) -> None:
    service = copied(updated.folder, tmp_path)
    shutil.copytree(template.folder, tmp_path / "candid")
    (tmp_path / "candid" / "CHANGELOG.md").write_text("News.\n", "utf-8")
    save(tmp_path / "candid", "News")
    cruft(service, "update", "-y", "--template-path", str(tmp_path / "candid"))
    assert status(service) == ["M .cruft.json"]


def test_where_both_changed_one_line_the_file_has_both_and_git_says_so(
    older: Path, tmp_path: Path
) -> None:
    service = copied(older, tmp_path)
    replace(service / "README.md", "\n## Start\n", "\n## Ours\n")
    save(service, "Our heading")
    update(service)
    assert git(service, "diff", "--name-only", "--diff-filter=U") == "README.md"
    both = "<<<<<<< ours\n## Ours\n=======\n## Run\n>>>>>>> theirs\n"
    assert both in (service / "README.md").read_text("utf-8")
    assert "fastapi==0.1.0" not in (service / "pyproject.toml").read_text("utf-8")


def test_where_git_has_not_seen_what_was_generated_the_change_lies_beside_the_file(
    older: Path, tmp_path: Path
) -> None:
    service = copied(older, tmp_path)
    shutil.rmtree(service / ".git")
    replace(service / "README.md", "\n## Start\n", "\n## Ours\n")
    save(service, "The first commit is not as generated")
    ours = (service / "README.md").read_text("utf-8")
    update(service)
    assert (service / "README.md").read_text("utf-8") == ours
    assert "-## Start\n+## Run\n" in (service / "README.md.rej").read_text("utf-8")
    assert "fastapi==0.1.0" not in (service / "pyproject.toml").read_text("utf-8")
