"""Find the packages that the code of a project imports."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.generate import ROOT

PACKAGES = ROOT / ".build" / "venv" / "lib"


def imported_packages(project: Path) -> set[str]:
    """Return the packages that a project imports outside its tests, by their names on the index.

    Raises LookupError for an import from a package that the reference service does not have.
    """
    records = {
        path.parent.name.partition("-")[0].replace("_", "-").lower(): path.read_text("utf-8")
        for path in PACKAGES.glob("*/site-packages/*.dist-info/RECORD")
    }
    local_modules = {path.stem for path in project.iterdir()}
    return {
        package_of(candidates, records)
        for path in project.rglob("*.py")
        if path.relative_to(project).parts[0] != "tests"
        for candidates in imported_modules(ast.parse(path.read_text("utf-8")))
        if candidates[-1].partition(".")[0] not in sys.stdlib_module_names | local_modules
    }


def imported_modules(tree: ast.Module) -> Iterator[list[str]]:
    """Yield the candidates for each absolute import: `from a import b` may mean `a.b` or `a`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ([name.name] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ([f"{node.module}.{name.name}", node.module] for name in node.names)


def package_of(candidates: list[str], records: dict[str, str]) -> str:
    """Return the package that contains the first existing module."""
    for module in candidates:
        path = re.escape(module.replace(".", "/"))
        file = re.compile(rf"^{path}(/__init__)?(\.py|\.\S+\.so),", re.MULTILINE)
        for package, record in records.items():
            if file.search(record):
                return package
    raise LookupError(f"no package contains {candidates}")
