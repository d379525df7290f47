"""Refuses a project whose Python is too old for the patterns."""

import re
import tomllib
from pathlib import Path

from dev.copy.pattern import CopyError

MIN_PYTHON = (3, 11)
LOWER_BOUND = re.compile(r"(?:>=|==|~=|\^|>)\s*(\d+)(?:\.(\d+))?")
UPPER_BOUND = re.compile(r"<(=?)\s*(\d+)(?:\.(\d+))?")


def check_python(root: Path) -> None:
    """Raise CopyError if the project supports, or its .venv has, a Python that is too old.

    Both can be up to two folders above, for example in a workspace.
    """
    needed = ".".join(map(str, MIN_PYTHON))
    folders = [root, *root.parents][:3]
    file = _first([folder / "pyproject.toml" for folder in folders])
    requires = _requires_python(file) if file else ""
    if not _allows(requires):
        raise CopyError(
            f"{file} supports Python {requires}, and the pattern needs {needed}."
            f" Raise requires-python to >={needed}."
        )
    settings = _first([folder / ".venv" / "pyvenv.cfg" for folder in folders])
    text = settings.read_text("utf-8", "replace") if settings else ""
    version = re.search(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", text, re.MULTILINE)
    if settings and version and (int(version[1]), int(version[2])) < MIN_PYTHON:
        raise CopyError(
            f"{settings.parent} has Python {version[1]}.{version[2]}, and the pattern needs"
            f" {needed}. Create it again with a newer Python."
        )


def _first(paths: list[Path]) -> Path | None:
    return next((path for path in paths if path.exists()), None)


def _requires_python(file: Path) -> str:
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise CopyError(f"{file} is not valid TOML: {error}.") from error
    poetry = document.get("tool", {}).get("poetry", {}).get("dependencies", {}).get("python", "")
    return str(document.get("project", {}).get("requires-python", poetry))


def _allows(requires: str) -> bool:
    """Return whether a requirement allows only versions from MIN_PYTHON on, or says nothing."""
    lower = [(int(major), int(minor or 0)) for major, minor in LOWER_BOUND.findall(requires)]
    if lower:
        return max(lower) >= MIN_PYTHON
    upper = [
        (int(major), int(minor or 0) + bool(equal))
        for equal, major, minor in UPPER_BOUND.findall(requires)
    ]
    return not upper or min(upper) > MIN_PYTHON
