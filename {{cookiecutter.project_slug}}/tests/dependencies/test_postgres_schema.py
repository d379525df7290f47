"""The revisions that the check of the schema reads, in the source tree and in a wheel."""

import shutil
import tomllib
from pathlib import Path

import pytest

from reference_service.dependencies.postgres.schema import (
    PACKAGE,
    find_migrations,
    is_behind,
    read_revisions,
)

PROJECT = Path(__file__).parents[2]

Revisions = dict[str, str | tuple[str, ...] | None]
"""Each revision with those that it follows."""


def write(folder: Path, revisions: Revisions) -> None:
    for revision, down_revision in revisions.items():
        text = f'revision: str = "{revision}"\ndown_revision: str | None = {down_revision!r}\n'
        (folder / f"{revision}_change.py").write_text(text)


def test_newest_revision_is_the_one_that_no_other_follows(tmp_path: Path) -> None:
    write(tmp_path, {"a": None, "c": "b", "b": "a"})
    assert read_revisions(tmp_path) == (frozenset("abc"), frozenset("c"))


def test_merge_of_two_branches_is_the_newest_revision(tmp_path: Path) -> None:
    write(tmp_path, {"a": None, "b1": "a", "b2": "a", "c": ("b1", "b2")})
    assert read_revisions(tmp_path) == (frozenset({"a", "b1", "b2", "c"}), frozenset("c"))


def test_merge_with_one_revision_per_line_is_read(tmp_path: Path) -> None:
    write(tmp_path, {"a": None, "b": "a", "c": "a"})
    text = 'revision = "d"\ndown_revision: Sequence[str] | None = (\n    "b",\n    "c",\n)\n'
    (tmp_path / "d_merge.py").write_text(text)
    assert read_revisions(tmp_path)[1] == frozenset("d")


def test_folder_without_migrations_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no newest migration"):
        read_revisions(tmp_path)


@pytest.mark.parametrize(
    ("current", "behind"),
    [
        ([], True),
        (["a"], True),
        (["b1"], True),
        (["b1", "a"], True),
        (["b1", "b2"], False),
        (["b1", "b2", "future"], False),
        (["future"], False),
        (["a", "future"], True),
    ],
)
def test_database_is_behind_if_a_branch_lacks_a_migration(current: list[str], behind: bool) -> None:
    known, heads = frozenset({"a", "b1", "b2"}), frozenset({"b1", "b2"})
    assert is_behind(frozenset(current), known, heads) is behind


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
