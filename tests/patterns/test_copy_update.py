"""`UPDATE=1` merges what has changed in a pattern. What the team has changed stays."""

import shutil
from pathlib import Path

import pytest
from project import TEMPLATE, fingerprint

from .copying import make_copy
from .test_copy_refusals import PACKAGE, write_files

FIRST_LINE = "# From Candid {}, resilience/{}.py. MIT license, 2026 Candid contributors."


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """Return a copy of the service that patterns are copied from, to change its patterns."""
    folder = tmp_path / "newer"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("dev", "docs", "src"):
        shutil.copytree(TEMPLATE / name, folder / name, ignore=ignored)
    shutil.copy(TEMPLATE / "pyproject.toml", folder)
    replace(folder / "docs/patterns/patterns.toml", 'version = "0.1.0"', 'version = "0.2.0"')
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return the package of an application that has copied Recovery."""
    write_files(tmp_path / "project", PACKAGE)
    package = tmp_path / "project" / "shop"
    assert make_copy("recovery", package).returncode == 0
    return package


def replace(file: Path, old: str, new: str) -> None:
    """Replace a text that occurs once in a file."""
    text = file.read_text("utf-8")
    assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times"
    file.write_text(text.replace(old, new), "utf-8")


def first_lines(file: Path, count: int = 1) -> list[str]:
    """Return the first lines of a file."""
    return file.read_text("utf-8").splitlines()[:count]


def test_copied_file_names_its_origin_version_and_license(shop: Path) -> None:
    copied = shop / "resilience" / "recovery.py"
    source = TEMPLATE / "src" / "reference_service" / "resilience" / "recovery.py"
    line, _, rest = copied.read_text("utf-8").partition("\n")
    assert line == FIRST_LINE.format("0.1.0", "recovery")
    assert rest == source.read_text("utf-8")


def test_same_copy_again_changes_nothing(shop: Path) -> None:
    before = fingerprint(shop.parent)
    ended = make_copy("recovery", shop)
    assert ended.returncode == 0
    assert ended.stdout.count(": unchanged\n") == 3
    assert fingerprint(shop.parent) == before


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    write_files(tmp_path, PACKAGE)
    before = fingerprint(tmp_path)
    ended = make_copy("recovery", tmp_path / "shop", "--dry")
    assert ended.returncode == 0
    assert "Would copy into" in ended.stdout
    assert fingerprint(tmp_path) == before


def test_update_merges_changes_of_both_sides(shop: Path, newer: Path) -> None:
    copied = shop / "resilience" / "recovery.py"
    copied.write_text(copied.read_text("utf-8") + "\n\nTEAM = True\n", "utf-8")
    source = newer / "src/reference_service/resilience/recovery.py"
    source.write_text(source.read_text("utf-8").replace("import ", "import  ", 1), "utf-8")
    ended = make_copy("recovery", shop, "--update", folder=newer)
    assert ended.returncode == 0, ended.stderr
    assert "\n-import " in ended.stdout
    assert "\n+import  " in ended.stdout
    assert "shop/resilience/recovery.py: merged\n" in ended.stdout
    text = copied.read_text("utf-8")
    assert "\nimport  " in text
    assert text.endswith("TEAM = True\n")
    assert first_lines(copied) == [FIRST_LINE.format("0.2.0", "recovery")]
    assert make_copy("recovery", shop, "--update", folder=newer).stdout.count("unchanged") == 2


def test_conflict_has_markers_as_in_git_and_exit_status_1(shop: Path, newer: Path) -> None:
    copied = shop / "resilience" / "problem.py"
    docstring = first_lines(copied, 2)[1]
    replace(copied, docstring, '"""The team\'s."""')
    replace(newer / "src/reference_service/resilience/problem.py", docstring, '"""Newer."""')
    ended = make_copy("recovery", shop, "--update", folder=newer)
    assert ended.returncode == 1
    assert "shop/resilience/problem.py: merged with conflicts\n" in ended.stdout
    assert first_lines(copied, 7) == [
        "<<<<<<< yours",
        FIRST_LINE.format("0.1.0", "problem"),
        '"""The team\'s."""',
        "=======",
        FIRST_LINE.format("0.2.0", "problem"),
        '"""Newer."""',
        ">>>>>>> Candid",
    ]
    replace(newer / "src/reference_service/resilience/problem.py", "Newer", "Newest")
    ended = make_copy("recovery", shop, "--update", folder=newer)
    assert ended.returncode == 2
    assert "still has conflicts of a merge. Resolve them first." in ended.stderr


def test_dry_update_shows_the_changes_and_writes_nothing(shop: Path, newer: Path) -> None:
    before = fingerprint(shop.parent)
    ended = make_copy("recovery", shop, "--update", "--dry", folder=newer)
    assert ended.returncode == 0
    assert "+" + FIRST_LINE.format("0.2.0", "problem") in ended.stdout
    assert fingerprint(shop.parent) == before


def test_older_copy_is_refused_without_update(shop: Path, newer: Path) -> None:
    ended = make_copy("timeout", shop, folder=newer)
    assert ended.returncode == 2
    assert "copied from an older version: shop/resilience/problem.py. Add UPDATE=1" in ended.stderr
    assert not (shop / "resilience" / "timeout.py").exists()


def test_changed_file_that_two_patterns_share_is_kept(shop: Path) -> None:
    shared = shop / "resilience" / "problem.py"
    shared.write_text(shared.read_text("utf-8") + "\n\nTEAM = True\n", "utf-8")
    ended = make_copy("timeout", shop)
    assert ended.returncode == 0
    assert "problem.py: kept, because your project has changed it" in ended.stdout
    assert shared.read_text("utf-8").endswith("TEAM = True\n")


def test_update_does_not_restore_a_deleted_file(shop: Path, newer: Path) -> None:
    test = shop.parent / "tests" / "test_recovery.py"
    test.unlink()
    assert "not restored" in make_copy("recovery", shop, "--update", folder=newer).stdout
    assert not test.exists()
    assert make_copy("recovery", shop, folder=newer).returncode == 0
    assert test.exists()


def test_update_names_files_that_the_pattern_no_longer_has(shop: Path, newer: Path) -> None:
    (newer / "src/reference_service/resilience/problem.py").unlink()
    replace(
        newer / "docs/patterns/patterns.toml",
        '    "src/reference_service/resilience/recovery.py",\n'
        '    "src/reference_service/resilience/problem.py",\n',
        '    "src/reference_service/resilience/recovery.py",\n',
    )
    ended = make_copy("recovery", shop, "--update", folder=newer)
    assert "shop/resilience/problem.py has no newer version. Delete it" in ended.stdout
    assert (shop / "resilience" / "problem.py").exists()


def test_update_of_a_pattern_that_was_not_copied_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, PACKAGE)
    ended = make_copy("recovery", tmp_path / "shop", "--update")
    assert ended.returncode == 2
    assert "has no copy of recovery. Leave out UPDATE=1." in ended.stderr


def test_update_adds_the_first_line_to_files_that_were_copied_by_hand(tmp_path: Path) -> None:
    write_files(tmp_path, PACKAGE)
    folder = tmp_path / "shop" / "resilience"
    folder.mkdir()
    for name in ("recovery", "problem"):
        shutil.copy(TEMPLATE / "src/reference_service/resilience" / f"{name}.py", folder)
    assert make_copy("recovery", tmp_path / "shop").returncode == 2
    ended = make_copy("recovery", tmp_path / "shop", "--update")
    assert ended.returncode == 0
    assert ended.stdout.count("only its first line added") == 2
    assert first_lines(folder / "recovery.py") == [FIRST_LINE.format("0.1.0", "recovery")]


def test_update_keeps_the_line_endings_of_a_file(shop: Path, newer: Path) -> None:
    copied = shop / "resilience" / "problem.py"
    copied.write_bytes(copied.read_bytes().replace(b"\n", b"\r\n"))
    assert make_copy("recovery", shop, "--update", folder=newer).returncode == 0
    lines = copied.read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"\r\n") for line in lines)
    assert lines[0].decode().strip() == FIRST_LINE.format("0.2.0", "problem")
