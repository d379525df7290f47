"""The revisions that the check of the schema reads, in the source tree and in a wheel."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from reference_service.dependencies.postgres.schema import (
    PACKAGE,
    find_migrations,
    is_behind,
    newest,
    read_history,
)

PROJECT = Path(__file__).parents[2]


def write(folder: Path, **migrations: str) -> None:
    """Write a migration for each revision, with what its file assigns."""
    for revision, lines in migrations.items():
        text = f'"""Change.\n\nRevises: nothing\n"""\n\nrevision: str = "{revision}"\n{lines}\n'
        (folder / f"{revision}_change.py").write_text(text, "utf-8")


def test_newest_revision_is_the_one_that_no_other_follows(tmp_path: Path) -> None:
    write(tmp_path, a="down_revision = None", c="down_revision = 'b'", b="down_revision = 'a'")
    history = read_history(tmp_path)
    assert history == {"a": set(), "b": {"a"}, "c": {"b"}}
    assert newest(history) == {"c"}


@pytest.mark.parametrize(
    "lines",
    [
        'down_revision = ("b1", "b2")',
        'down_revision = "b1", "b2"  # merges',
        'down_revision: str | Sequence[str] | None = ("b1", "b2")',
        "down_revision: Union[str, Sequence[str], None] = ['b1', 'b2']",
        'down_revision: tuple[str, ...] = (\n    "b1",\n    "b2",\n)',
        'down_revision = (  # of "x" (and more)\n    "b1",\n    "b2",  # the last one :)\n)',
        'down_revision = (\n    "b1"\n)\ndepends_on = (\n    "b2"\n)',
        'down_revision = "b1"\ndepends_on: str | None = "b2"',
        'down_revision = None\ndepends_on = ["b1", "right"]',
        'down_revision = tuple(f"b{number}" for number in (1, 2))',
        'if True:\n    down_revision = ("b1", "b2")',
    ],
)
def test_revision_that_follows_two_branches_is_read_however_it_is_written(
    tmp_path: Path, lines: str
) -> None:
    write(tmp_path, a="down_revision: str | None = None", b1="down_revision = 'a'")
    write(tmp_path, b2="down_revision = 'a'\nbranch_labels = ('right',)")
    imports = "from __future__ import annotations\n"
    (tmp_path / "c_merge.py").write_text(f'{imports}revision = "c"\n{lines}\n', "utf-8")
    history = read_history(tmp_path)
    assert history["c"] == {"b1", "b2"}
    assert newest(history) == {"c"}


def test_folder_without_migrations_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    with pytest.raises(ValueError, match="no newest migration"):
        read_history(tmp_path)


@pytest.mark.parametrize(
    ("current", "behind"),
    [
        ([], True),
        (["a"], True),
        (["b1"], True),
        (["b1", "b2"], True),
        (["b1", "c"], True),
        (["c", "d"], False),
        (["d", "c", "b1"], False),  # a row too many: no migration is missing
        (["c", "d", "future"], False),
        (["future"], False),
        (["a", "future"], True),
        (["b2", "future"], True),
        (["c", "future"], False),
    ],
)
def test_database_is_behind_if_a_branch_lacks_a_migration(current: list[str], behind: bool) -> None:
    """`c` merges `b1` and `b2`, and `d` begins another branch, which depends on `b1`."""
    history = {"a": "", "b1": "a", "b2": "a", "c": ["b1", "b2"], "d": ["b1"]}
    assert is_behind(current, {name: frozenset(of) for name, of in history.items()}) is behind


def test_migrations_are_read_without_alembic() -> None:
    code = (
        "import sys;"
        "from reference_service.dependencies.postgres import schema;"
        "schema.read_history(schema.find_migrations());"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_migrations_are_found_in_the_source_tree() -> None:
    assert find_migrations() == PROJECT / "migrations" / "versions"
    assert read_history(find_migrations())


def test_migrations_are_found_in_a_wheel(tmp_path: Path) -> None:
    """Hatch copies the folders of `force-include` into the wheel."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, target in wheel["force-include"].items():
        shutil.copytree(PROJECT / source, tmp_path / target)
    in_wheel = find_migrations(tmp_path / PACKAGE.name)
    assert in_wheel.is_relative_to(tmp_path)
    assert read_history(in_wheel) == read_history(find_migrations())
