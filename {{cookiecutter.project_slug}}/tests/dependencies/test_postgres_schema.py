"""The revisions that the check of the schema reads, in the source tree and in a wheel."""

import shutil
import tomllib
from pathlib import Path

import pytest

from reference_service.dependencies.postgres.schema import (
    PACKAGE,
    find_migrations,
    read_revisions,
)

PROJECT = Path(__file__).parents[2]

Revisions = dict[str, str | None]
"""Each revision with the one that it follows."""


def write(folder: Path, revisions: Revisions) -> None:
    for revision, down_revision in revisions.items():
        text = f'revision: str = "{revision}"\ndown_revision: str | None = {down_revision!r}\n'
        (folder / f"{revision}_change.py").write_text(text)


def test_newest_revision_is_the_one_that_no_other_follows(tmp_path: Path) -> None:
    write(tmp_path, {"a": None, "c": "b", "b": "a"})
    assert read_revisions(tmp_path) == (frozenset("abc"), "c")


@pytest.mark.parametrize("revisions", [{}, {"a": None, "b": None}, {"a": None, "b": "a", "c": "a"}])
def test_folder_without_one_newest_revision_is_rejected(
    tmp_path: Path, revisions: Revisions
) -> None:
    write(tmp_path, revisions)
    with pytest.raises(ValueError, match="one newest migration expected"):
        read_revisions(tmp_path)


def test_migrations_are_found_in_the_source_tree() -> None:
    assert find_migrations() == PROJECT / "migrations" / "versions"
    assert read_revisions(find_migrations())


def test_migrations_are_found_in_a_wheel(tmp_path: Path) -> None:
    """Hatch copies the folders of `force-include` into the wheel."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, target in wheel["force-include"].items():
        shutil.copytree(PROJECT / source, tmp_path / target)
    in_wheel = find_migrations(tmp_path / PACKAGE.name)
    assert in_wheel.is_relative_to(tmp_path)
    assert read_revisions(in_wheel) == read_revisions(find_migrations())
