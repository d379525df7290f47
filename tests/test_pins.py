"""`make pins` writes exact versions, and every package is pinned and reserved as a name."""

import re
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
(IMAGE_PYTHON,) = re.findall(
    r"^FROM python:([\d.]+)-", (TEMPLATE / "Dockerfile").read_text(), re.MULTILINE
)


def lists(folder: Path) -> dict[str, list[str]]:
    """Read the lists of pins of a pyproject.toml."""
    settings = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]
    return {key: value for key, value in settings.items() if key.endswith("dependencies")}


@EACH
def test_direct_requirements_allow_the_pinned_versions(folder: Path) -> None:
    pinned = {Requirement(pin).name: pin for pin in lists(folder)["constraint-dependencies"]}
    for line in pins.direct_requirements((folder / "pyproject.toml").read_text("utf-8")):
        wanted = Requirement(line)
        (exact,) = Requirement(pinned[canonicalize_name(wanted.name)]).specifier
        assert exact.operator == "=="
        assert wanted.specifier.contains(exact.version)


@EACH
def test_requirements_name_no_package_index(folder: Path) -> None:
    assert "://" not in (folder / "pyproject.toml").read_text("utf-8")


def test_generated_chart_workflow_uses_the_pinned_versions() -> None:
    pinned = {*lists(ROOT)["constraint-dependencies"], *lists(SCANNER)["constraint-dependencies"]}
    named = [
        line for line in pins.CHART_REQUIREMENTS.read_text("utf-8").splitlines() if line[0] != "#"
    ]
    assert named
    assert set(named) <= pinned


def test_every_pinned_package_is_reserved_as_a_name() -> None:
    names = {Requirement(pin).name for found in lists(TEMPLATE).values() for pin in found}
    assert names == set(pre_gen_project.DISTRIBUTIONS.split())
    assert {name.replace("-", "_") for name in names} <= set(pre_gen_project.MODULES.split())


@pytest.mark.parametrize("python", ["3.11", IMAGE_PYTHON])
@pytest.mark.parametrize(
    "platform",
    ["x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin"],
)
def test_every_package_has_a_wheel(tmp_path: Path, platform: str, python: str) -> None:
    """Nothing is compiled on Linux with glibc or on macOS, whatever features are chosen."""
    project = (TEMPLATE / "pyproject.toml").read_text("utf-8")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(lists(TEMPLATE)["constraint-dependencies"]), "utf-8")
    where = [f"--python-platform={platform}", f"--python-version={python}"]
    options = [*where, "--no-header", "--no-annotate", "--quiet", "--only-binary=:all:"]
    required = pins.direct_requirements(project)
    printed = pins.uv("compile", "-", "-c", str(constraints), *options, requirements=required)
    assert len(pins.parse(printed)) > len(required)


def test_marker_is_kept_only_if_a_package_has_several_versions() -> None:
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


def test_pin_is_tagged_with_every_feature_that_requires_it() -> None:
    found = {"one": ["one==1"], "two": ["two==2"]}
    assert pins.format_pins("key", found, {"two": ["redis", "kafka"]}) == (
        'key = [\n    "one==1",\n    "two==2", # feature: redis, kafka\n]'
    )


def test_pin_with_a_marker_is_readable_after_writing() -> None:
    pin = 'one==1 ; python_full_version < "3.12"'
    (read,) = tomllib.loads(pins.format_pins("key", {"one": [pin]}, {}))["key"]
    assert str(Requirement(read)) == str(Requirement(pin))


def test_replace_changes_only_the_list() -> None:
    text = 'before = 1\nkey = [\n    "old==1",\n]\nother = [\n    "kept==1",\n]\n'
    new = text.replace("old==1", "new==2")
    assert pins.replace(text, "key = [", "]", 'key = [\n    "new==2",\n]') == new


def test_missing_list_is_an_error() -> None:
    with pytest.raises(SystemExit, match=r"'key = \[' must start exactly one block, but starts 0"):
        pins.replace("nothing", "key = [", "]", "")
