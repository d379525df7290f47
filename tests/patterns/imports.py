"""Prints the packages that the code of a project imports, its tests aside, as a list of JSON.

It runs in the environment that has them: `python imports.py FOLDER`.
"""

import ast
import json
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path


def main(project: Path) -> None:
    """Write who owns what is imported."""
    owners = {
        file.with_suffix("").as_posix().removesuffix("/__init__").split(".")[0]: package.name
        for package in distributions()
        for file in package.files or ()
        if file.suffix in {".py", ".so"}
    }
    ours = {path.stem for path in project.iterdir()}
    names = [
        candidates
        for path in project.rglob("*.py")
        if path.relative_to(project).parts[0] != "tests"
        for candidates in imported(ast.parse(path.read_text("utf-8")))
        if candidates[-1].partition(".")[0] not in sys.stdlib_module_names | ours
    ]
    found = sorted({owner_of(candidates, owners) for candidates in names})
    sys.stdout.write(json.dumps(found))


def imported(tree: ast.Module) -> Iterator[list[str]]:
    """Yield what is imported absolutely: the module, after it the one that it may be found in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ([name.name] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ([f"{node.module}.{name.name}", node.module] for name in node.names)


def owner_of(candidates: list[str], owners: dict[str, str]) -> str:
    """Return the package that has the first of these modules that there is."""
    for name in candidates:
        if owner := owners.get(name.replace(".", "/")):
            return owner
    raise LookupError(f"nobody has {candidates}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
