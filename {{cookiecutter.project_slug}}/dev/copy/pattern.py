"""What a pattern consists of: files that patterns.toml lists, and the code on its page.

Paths are those of the page, where the application is `shop/main.py`.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "patterns"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# (\S+\.\w+)\n\s*")
TAG = re.compile(r"[ \t]*(?:#|<!--) feature: ([a-z_, +]+?)(?: -->)?$")
EXCLUDED_TAGS = ("template", "edge")
"""Lines of the template folder that exist nowhere else, and the choice that is not the default."""


class CopyError(Exception):
    """The pattern cannot be copied. The message says why, and what to do."""


@dataclass(frozen=True)
class Source:
    """A file of a pattern: where it comes from, its path on the page, and its text."""

    origin: str
    path: str
    text: str


@dataclass(frozen=True)
class Pattern:
    """A pattern. `wiring` is added to files of the host, `commands` run the test."""

    name: str
    packages: list[str]
    files: list[Source]
    wiring: list[Source]
    commands: list[str]
    version: str
    license: str


def summaries() -> dict[str, str]:
    """Return the name of each pattern with one line about it."""
    return {
        name: table["summary"] for name, table in _manifest().items() if isinstance(table, dict)
    }


def read_pattern(name: str, *, tests: bool = False) -> Pattern:
    """Return a pattern by its name, if asked with the tests of its files."""
    manifest, names = _manifest(), list(summaries())
    if not name:
        raise CopyError("PATTERN is missing. make copy lists the patterns.")
    if name not in names:
        near = " or ".join(difflib.get_close_matches(name, names))
        hint = f"Did you mean {near}?" if near else "make copy lists the patterns."
        raise CopyError(f"There is no pattern {name!r}. {hint}")
    page = (PAGES / f"{name}.md").read_text("utf-8")
    blocks = list(_blocks(page, f"docs/patterns/{name}.md"))
    own_tests = [block for block in blocks if _is_test(block)]
    shell = [text for language, text in BLOCK.findall(page) if language == "sh"]
    table = manifest[name]
    files = [*table["files"], *(_tests(name, table) if tests else ())]
    return Pattern(
        name,
        table["packages"],
        [*_files(table, files), *own_tests],
        [block for block in blocks if block not in own_tests],
        shell[-1].splitlines(),
        manifest["version"],
        manifest["license"],
    )


def has_origin(origin: str) -> bool:
    """Return whether the origin of a copied file still exists."""
    return any((folder / origin).is_file() for folder in (ROOT, _package()))


def package_name() -> str:
    """Return the name of the package that patterns come from."""
    return _package().name


def _package() -> Path:
    [package] = (path.parent for path in ROOT.glob("src/*/__init__.py"))
    return package


def _manifest() -> dict[str, Any]:
    return tomllib.loads((PAGES / "patterns.toml").read_text("utf-8"))


def _tests(name: str, table: dict[str, Any]) -> list[str]:
    """Return the folders with the tests of a pattern's files."""
    tests: list[str] = table.get("tests", [])
    if not tests:
        raise CopyError(
            f"{name} has no tests here but the one on its page. Leave out TESTS=1. The engine has"
            " more, if the service was generated with part_tests."
        )
    return tests


def _files(table: dict[str, Any], names: list[str]) -> Iterator[Source]:
    package = _package()
    for listed in names:
        path = ROOT / listed
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in found:
            if "__pycache__" in file.parts or not file.is_file():
                continue
            text = _without_tags(file.read_text("utf-8"))
            if file.is_relative_to(package):
                origin = file.relative_to(package).as_posix()
                yield Source(origin, f"shop/{origin}", text)
                continue
            origin = file.relative_to(ROOT).as_posix()
            target = table.get("to", {}).get(listed, "")
            if path.is_dir() and target:
                target = f"{target}/{file.relative_to(path).as_posix()}"
            elif target:
                for old, new in table.get("replace", {}).items():
                    text = re.sub(old, new, text)
            yield Source(origin, target or origin, text)


def _blocks(page: str, origin: str) -> Iterator[Source]:
    for _language, text in BLOCK.findall(page):
        if name := FILE_NAME.match(text):
            yield Source(origin, name[1], text[name.end() :])


def _is_test(block: Source) -> bool:
    stem = Path(block.path).stem
    return stem.startswith("test_") or stem.endswith("_test")


def _without_tags(text: str) -> str:
    """Return the text that the default answers leave. A generated service has no tags."""
    kept = []
    for line in text.split("\n"):
        tag = TAG.search(line)
        if tag is None or tag[1] not in EXCLUDED_TAGS:
            kept.append(line[: tag.start()] if tag else line)
    return "\n".join(kept)
