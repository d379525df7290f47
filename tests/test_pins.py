"""Exact versions: what is written, and that nothing is left unpinned or unnamed."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from project import TEMPLATE

from hooks import pre_gen_project
from tools import pins
from tools.generate import ROOT

SCANNER = pins.SCANNER.parent
EACH = pytest.mark.parametrize(
    "folder", [ROOT, SCANNER, TEMPLATE], ids=["template", "scanner", "service"]
)


def lists(folder: Path) -> dict[str, list[str]]:
    """Read the lists of pins of a pyproject.toml."""
    settings = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]
    return {key: value for key, value in settings.items() if key.endswith("dependencies")}


@EACH
def test_every_direct_requirement_allows_the_version_that_is_pinned(folder: Path) -> None:
    pinned = {Requirement(pin).name: pin for pin in lists(folder)["constraint-dependencies"]}
    for line in pins.required((folder / "pyproject.toml").read_text("utf-8")):
        wanted = Requirement(line)
        (exact,) = Requirement(pinned[canonicalize_name(wanted.name)]).specifier
        assert exact.operator == "=="
        assert wanted.specifier.contains(exact.version)


@EACH
def test_no_requirement_says_where_it_comes_from(folder: Path) -> None:
    assert "://" not in (folder / "pyproject.toml").read_text("utf-8")


def test_the_generated_workflow_checks_the_chart_with_versions_that_are_pinned_here() -> None:
    pinned = {*lists(ROOT)["constraint-dependencies"], *lists(SCANNER)["constraint-dependencies"]}
    named = [line for line in pins.CHECKS.read_text("utf-8").splitlines() if line[0] != "#"]
    assert named
    assert set(named) <= pinned


def test_every_pin_is_a_name_that_no_service_may_take() -> None:
    names = {Requirement(pin).name for found in lists(TEMPLATE).values() for pin in found}
    assert names == set(pre_gen_project.DISTRIBUTIONS.split())
    assert {name.replace("-", "_") for name in names} <= set(pre_gen_project.MODULES.split())


def test_a_marker_stays_only_where_it_tells_versions_apart() -> None:
    printed = """
        one==1.0 ; sys_platform == 'win32'
        Two_b==2.0 ; python_full_version < '3.12'
        two-b==2.1 ; python_full_version >= '3.12'
    """
    assert pins.parse("\n".join(filter(None, map(str.strip, printed.splitlines())))) == {
        "one": ["one==1.0"],
        "two-b": [
            'two-b==2.0 ; python_full_version < "3.12"',
            'two-b==2.1 ; python_full_version >= "3.12"',
        ],
    }


def test_a_pin_is_tagged_with_every_feature_that_brings_it_in() -> None:
    found = {"one": ["one==1"], "two": ["two==2"]}
    assert pins.written("key", found, {"two": ["redis", "kafka"]}) == (
        'key = [\n    "one==1",\n    "two==2", # feature: redis, kafka\n]'
    )


def test_a_pin_with_a_marker_is_written_such_that_it_is_read_back() -> None:
    pin = 'one==1 ; python_full_version < "3.12"'
    (read,) = tomllib.loads(pins.written("key", {"one": [pin]}, {}))["key"]
    assert str(Requirement(read)) == str(Requirement(pin))


def test_only_the_list_itself_is_rewritten() -> None:
    text = 'before = 1\nkey = [\n    "old==1",\n]\nother = [\n    "kept==1",\n]\n'
    new = text.replace("old==1", "new==2")
    assert pins.replace(text, "key = [", "]", 'key = [\n    "new==2",\n]') == new


def test_a_list_that_is_missing_is_an_error_and_not_passed_over() -> None:
    with pytest.raises(SystemExit, match=r"'key = \[' must begin exactly one block, and begins 0"):
        pins.replace("nothing", "key = [", "]", "")
