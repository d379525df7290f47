"""An answer adds or removes a feature, and keeps the changes of the team."""

from pathlib import Path

import pytest

from .team import (
    copied,
    difference,
    generate,
    has_equal_copies,
    own_files,
    save,
    update,
    work,
)
from .template import Template, git


@pytest.mark.parametrize(
    "answers",
    [
        {"kafka": True, "grpc": True, "observability": False},
        {"postgres": False, "kubernetes": False, "docker": False, "github": False},
    ],
    ids=["two added, one removed", "four removed"],
)
def test_changed_answers_give_the_service_that_they_would_have_generated(
    template: Template,
    newest: Path,
    tmp_path: Path,
    answers: dict[str, object],
) -> None:
    service = copied(newest, tmp_path)
    work(service)
    save(service, "Change the service")
    before = own_files(service)
    update(service, **answers)
    save(service, "Other features")
    expected = generate(template, tmp_path, **answers)
    work(expected)
    assert difference(service, expected) == ""
    assert not (service / "deploy" / "chart" / "rules").exists()
    update(service, **{feature: not answer for feature, answer in answers.items()})
    save(service, "As before")
    assert git(service, "diff", "HEAD~2") == ""
    assert has_equal_copies(service)
    assert own_files(service) == before
