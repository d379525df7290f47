"""patterns.toml, the pages and the table of patterns agree."""

import re
import tomllib
from typing import Any

import pytest
from project import TEMPLATE

from tools.generate import ROOT

from .pages import BLOCK, PAGES, read_page, required_packages

MANIFEST: dict[str, Any] = tomllib.loads((PAGES / "patterns.toml").read_text("utf-8"))
PATTERNS = {name: table for name, table in MANIFEST.items() if isinstance(table, dict)}
LOOP = re.compile(r'for name in (.+); do\n.*?"\$FROM/(.+?)"', re.DOTALL)


def files_on_page(page: str) -> list[str]:
    """Return what the shell commands of a page copy, with the loops unrolled."""
    found = []
    for language, text in BLOCK.findall(page):
        if language == "sh":
            commands = LOOP.sub(
                lambda loop: " ".join(
                    f'"$FROM/{loop[2].replace("$name", name)}"' for name in loop[1].split()
                ),
                text,
            )
            found += re.findall(r'"\$FROM/(.+?)"', commands)
    return found


@pytest.mark.parametrize("name", PATTERNS)
def test_page_copies_the_files_of_the_manifest(name: str) -> None:
    assert sorted(files_on_page(read_page(name))) == sorted(PATTERNS[name]["files"])
    assert all((TEMPLATE / path).exists() for path in PATTERNS[name]["files"])


@pytest.mark.parametrize("name", PATTERNS)
def test_page_requires_the_packages_of_the_manifest(name: str) -> None:
    assert required_packages(read_page(name)) == {*PATTERNS[name]["packages"], "fastapi"}


@pytest.mark.parametrize("name", PATTERNS)
def test_page_names_its_own_command_before_it_copies_by_hand(name: str) -> None:
    first, second = [
        (language, text) for language, text in BLOCK.findall(read_page(name)) if "$FROM" in text
    ][:2]
    assert first == ("console", f'$ make -C "$FROM" copy PATTERN={name} INTO="$PWD/shop"\n')
    assert second[0] == "sh"


def test_table_of_patterns_lists_the_manifest() -> None:
    rows = re.findall(r"^\| (\[.+?\]\(.+\.md\)) \| (.+?) \|", read_page("README"), re.MULTILINE)
    titles = {name: read_page(name).partition("\n")[0].removeprefix("# ") for name in PATTERNS}
    assert rows == [
        (f"[{titles[name]}]({name}.md)", table["summary"]) for name, table in PATTERNS.items()
    ]


def test_manifest_has_the_version_and_the_license_of_candid() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert MANIFEST["version"] == project["version"]
    license_name, _, owner = MANIFEST["license"].partition(", ")
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert text.startswith(license_name.replace("license", "License"))
    assert f"Copyright (c) {owner}" in text
