"""`make upgrade`: every pin moves to the newest version that fits, and uv.lock with them."""

import os
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version
from project import Generate, fingerprint

from pipeline.repository import TOOLS, Run, run

OLD = {"idna": "3.7", "pydantic": "2.12.0", "pydantic-core": "2.41.1"}


def upgrade(service: Path) -> Run:
    """Run the command of the target with the Python of the template: it needs no packages."""
    return run(TOOLS / "python", "-m", "dev.upgrade", cwd=service, UV=os.environ.get("UV", "uv"))


def replace(file: Path, pattern: str, new: str) -> None:
    """Replace the only match of a pattern in a file."""
    text, times = re.subn(pattern, new, file.read_text("utf-8"))
    assert times == 1
    file.write_text(text, "utf-8")


def pins(service: Path, key: str = "constraint-dependencies") -> dict[str, Version]:
    """Read a list of pins."""
    settings = tomllib.loads((service / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]
    exact = [Requirement(pin) for pin in settings[key]]
    return {each.name: Version(next(iter(each.specifier)).version) for each in exact}


def test_old_versions_move_to_the_newest_compatible_ones(generate: Generate) -> None:
    service = generate()
    for name, version in OLD.items():
        replace(service / "pyproject.toml", rf'"{name}==.*"', f'"{name}=={version}"')
    replace(service / "Makefile", "UV_VERSION := .*", "UV_VERSION := 0.9.1")
    replace(service / "Dockerfile", "uv==.*", "uv==0.9.1")
    before = pins(service)

    ended = upgrade(service)

    assert ended.returncode == 0, ended.stdout
    after = pins(service)
    assert after.keys() == before.keys()
    for name, version in OLD.items():
        assert after[name] > Version(version)
        assert f"{name}=={after[name]}" in ended.stdout
    locked = tomllib.loads((service / "uv.lock").read_text("utf-8"))["package"]
    assert {
        each["name"]: Version(each["version"]) for each in locked if "registry" in each["source"]
    } == after
    (first,) = re.findall("UV_VERSION := (.*)", (service / "Makefile").read_text("utf-8"))
    (second,) = re.findall("uv==(.*)", (service / "Dockerfile").read_text("utf-8"))
    assert first == second
    assert Version(first) > Version("0.9.1")

    changed = fingerprint(service)
    ended = upgrade(service)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert fingerprint(service) == changed


def test_without_pins_only_the_lock_file_moves(generate: Generate) -> None:
    """A team can delete the pins: uv.lock contains the same versions."""
    service = generate(docker=False)
    text = (service / "pyproject.toml").read_text("utf-8")
    bare = re.sub(
        r"^(build-)?constraint-dependencies = \[\n.*?^\]\n",
        "",
        text,
        flags=re.DOTALL | re.MULTILINE,
    )
    (service / "pyproject.toml").write_text(bare, "utf-8")
    assert upgrade(service).returncode == 0
    assert (service / "pyproject.toml").read_text("utf-8") == bare
    assert (service / "uv.lock").exists()


def assert_that_nothing_changes(service: Path) -> None:
    before = fingerprint(service)
    ended = upgrade(service)
    assert ended.returncode != 0
    assert "No package was upgraded" in ended.stdout
    assert fingerprint(service) == before


def test_conflicting_requirements_change_nothing(generate: Generate) -> None:
    service = generate()
    replace(service / "pyproject.toml", '"fastapi>=.*"', '"fastapi<0.100", "fastapi>=0.165"')
    assert_that_nothing_changes(service)


def test_lock_file_that_cannot_be_written_changes_nothing(generate: Generate) -> None:
    service = generate()
    (service / "uv.lock").write_text("version = 1\n", "utf-8")
    no_such_version = '[tool.uv]\noverride-dependencies = ["pydantic==0.0.1"]\n'
    replace(service / "pyproject.toml", r"\[tool\.uv\]\n", no_such_version)
    replace(service / "pyproject.toml", '"idna==.*"', '"idna==3.7"')
    assert_that_nothing_changes(service)
