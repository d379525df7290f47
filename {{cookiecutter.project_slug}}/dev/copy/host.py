"""The project that a pattern is copied into: its package, its application, its tests."""

import ast
import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.copy.pattern import ROOT, CopyError
from dev.copy.python_version import check_python

FRAMEWORKS = ("FastAPI", "Flask", "Starlette")
PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg", "tests")
RELATIVE_IMPORT = re.compile(r"^\s*from \.", re.MULTILINE)


@dataclass(frozen=True)
class Host:
    """A project. `name` is the dotted name of `package`, or empty for a flat application."""

    root: Path
    package: Path
    name: str
    application: Path
    variable: str
    is_found: bool
    """Whether a module creates the application. If not, `application` is an assumption."""

    @property
    def module(self) -> str:
        """The dotted name of the application's module."""
        return ".".join(part for part in (self.parent, self.application.stem) if part).removesuffix(
            ".__init__"
        )

    @property
    def parent(self) -> str:
        """The dotted name of the package that contains the application's module."""
        return _dotted(self.application.parent) if self.name else ""

    @property
    def label(self) -> str:
        """The name of the service, for example in its metrics."""
        return self.name.partition(".")[0] or self.root.name

    @property
    def runner(self) -> str:
        """The module that `python -m` runs. A flat application has no package to run."""
        return self.parent or "serve"

    def locate(self, path: str) -> Path:
        """Return the place of a path of a page. There, the application is `shop/main.py`."""
        if path == "shop/main.py":
            return self.application
        if path == "shop/__main__.py":
            return self.application.with_name("__main__.py" if self.name else "serve.py")
        in_package = path.removeprefix("shop/")
        return self.root / path if in_package == path else self.package / in_package


def find_host(into: str) -> Host:
    """Return the project of a package, or of the folder of an application without a package."""
    example = "for example INTO=../shop/src/shop"
    if not into:
        raise CopyError(f"INTO is missing. Name the folder of your package, {example}.")
    package = Path(into).expanduser().resolve()
    if not package.exists():
        raise CopyError(f"{into} does not exist. Name the folder of your package, {example}.")
    if not package.is_dir():
        raise CopyError(f"{into} is a file. Name the folder of your package, {example}.")
    if package.is_relative_to(ROOT):
        raise CopyError(f"{into} is inside the service that the patterns come from: {ROOT}.")
    name = _dotted(package)
    found = _application(package, name)
    if not name:
        _require_flat_application(package, into, found)
    for part in name.split(".") if name else ():
        if not part.isidentifier() or keyword.iskeyword(part):
            raise CopyError(
                f"{part} cannot be imported, because it is not a Python name. Rename it."
            )
    application, variable = found or (package / "main.py", "app")
    host = Host(_root(package, name), package, name, application, variable, bool(found))
    check_python(host.root)
    return host


def _dotted(folder: Path) -> str:
    """Return the name by which a package is imported, or an empty string if it is not a package."""
    parts: list[str] = []
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


def _application(package: Path, name: str) -> tuple[Path, str] | None:
    """Return the module that creates the application, and the variable."""
    folders = [package, *package.parents][: name.count(".") + 1]
    candidates = [path for folder in folders for path in _modules(folder)]
    if name:
        candidates += sorted(folders[-1].rglob("*.py"))
    for path in candidates:
        for statement in _parse(path).body:
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id=variable)], value=ast.Call(func=function))
                    | ast.AnnAssign(target=ast.Name(id=variable), value=ast.Call(func=function))
                ):
                    called = ast.unparse(function).rpartition(".")[2]
                    if called in FRAMEWORKS or variable == "app":
                        return path, variable
    return None


def _modules(folder: Path) -> Iterator[Path]:
    """Yield the modules of a folder, the likely ones first."""
    first = [folder / "main.py", folder / "app.py"]
    yield from (path for path in first if path.is_file())
    yield from (path for path in sorted(folder.glob("*.py")) if path not in first)


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def _require_flat_application(package: Path, into: str, found: tuple[Path, str] | None) -> None:
    """Raise CopyError unless a folder without `__init__.py` is an application's top folder."""
    uses_relative_imports = any(
        RELATIVE_IMPORT.search(path.read_text("utf-8", "replace")) for path in package.glob("*.py")
    )
    is_below_package = (package.parent / "__init__.py").exists()
    if package.name == "src" or found is None:
        found = None
    elif package.parent.name == "src" or uses_relative_imports or is_below_package:
        raise CopyError(f"{into} is not a package. Add an empty __init__.py to it.")
    if found:
        return
    inside = [
        path.parent.relative_to(package)
        for pattern in ("*/__init__.py", "src/*/__init__.py")
        for path in sorted(package.glob(pattern))
        if path.parent.name != "tests"
    ]
    hint = f"Did you mean INTO={Path(into) / inside[0]}?" if inside else "Add an __init__.py to it."
    raise CopyError(
        f"{into} is not a package, and no module in it creates an application of FastAPI,"
        " Starlette or Flask."
        f" {hint}"
    )


def _root(package: Path, name: str) -> Path:
    """Return the folder of the project: at most two above the folder that is on Python's path."""
    if not name:
        return package
    path = package.parents[name.count(".")]
    for folder in [path, *path.parents][:3]:
        if any((folder / file).exists() for file in PROJECT_FILES):
            return folder
    return path.parent if path.name == "src" else path
