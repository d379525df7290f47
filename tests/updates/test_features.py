"""A feature comes and goes by its answer, and leaves what the team has made as it is."""

from pathlib import Path

import pytest

from .team import (
    LINKS,
    belongings,
    copied,
    difference,
    generate,
    links,
    save,
    status,
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
    ids=["some come, one goes", "some go"],
)
def test_features_come_and_go_as_if_they_had_been_chosen_at_first_and_back(
    template: Template,
    newest: Path,
    tmp_path: Path,
    answers: dict[str, object],
) -> None:
    service = copied(newest, tmp_path)
    work(service)
    save(service, "Our work")
    before = belongings(service)
    update(service, **answers)
    save(service, "Other features")
    expected = generate(template, tmp_path, **answers)
    work(expected)
    assert difference(service, expected) == ""
    assert links(service) == {}  # either feature takes them along
    update(service, **{feature: not answer for feature, answer in answers.items()})
    save(service, "As before")
    assert git(service, "diff", "HEAD~2") == ""
    assert links(service) == LINKS
    assert belongings(service) == before


def test_a_file_that_the_team_has_changed_stays_when_its_feature_goes(
    newest: Path, tmp_path: Path
) -> None:
    service = copied(newest, tmp_path)
    ours = service / "src" / "orders" / "resources" / "redis.py"
    ours.write_text("# Ours.\n" + ours.read_text("utf-8"), "utf-8")
    save(service, "Our Redis")
    update(service, redis=False)
    assert ours.read_text("utf-8").startswith("# Ours.\n")
    assert not (service / "src" / "orders" / "wiring" / "redis.py").exists()
    assert "redis" not in (service / "src" / "orders" / "app.py").read_text("utf-8").lower()
    assert [line for line in status(service) if line.endswith(".rej")] == []
