"""Tells which packages the code of a project imports."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.generate import ROOT

PACKAGES = ROOT / ".build" / "venv" / "lib"


def imports(project: Path) -> set[str]:
    """Return the packages that a project imports, its tests aside, as the index calls them.

    Raises LookupError for an import that belongs to no package of the reference service.
    """
    records = {
        path.parent.name.partition("-")[0].replace("_", "-").lower(): path.read_text("utf-8")
        for path in PACKAGES.glob("*/site-packages/*.dist-info/RECORD")
    }
    ours = {path.stem for path in project.iterdir()}
    return {
        owner_of(modules, records)
        for path in project.rglob("*.py")
        if path.relative_to(project).parts[0] != "tests"
        for modules in imported(ast.parse(path.read_text("utf-8")))
        if modules[-1].partition(".")[0] not in sys.stdlib_module_names | ours
    }


def imported(tree: ast.Module) -> Iterator[list[str]]:
    """Yield what is imported absolutely: the module, after it the one that it may be found in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ([name.name] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ([f"{node.module}.{name.name}", node.module] for name in node.names)


def owner_of(modules: list[str], records: dict[str, str]) -> str:
    """Return the package that has the first of these modules that there is."""
    for module in modules:
        path = re.escape(module.replace(".", "/"))
        file = re.compile(rf"^{path}(/__init__)?(\.py|\.\S+\.so),", re.MULTILINE)
        for package, record in records.items():
            if file.search(record):
                return package
    raise LookupError(f"no package has {modules}")
