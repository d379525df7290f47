"""The path of the template folder, and functions to generate a project and to read it."""

import hashlib
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from hooks.post_gen_project import BUILD_ARTIFACTS
from tools.generate import ROOT, generate

TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"

Generate = Callable[..., Path]


def generate_in(folder: Path, **answers: object) -> Path:
    """Generate a project below `folder` from the given answers, else from the defaults."""
    return generate(folder / "out", **answers)


def files(root: Path) -> list[Path]:
    """List the files of a project without build artifacts."""

    def is_build_artifact(path: Path) -> bool:
        parts = path.relative_to(root).parts
        return any(fnmatch(part, pattern) for part in parts for pattern in BUILD_ARTIFACTS)

    return [
        path for path in sorted(root.rglob("*")) if path.is_file() and not is_build_artifact(path)
    ]


def fingerprint(root: Path) -> dict[str, tuple[int, str]]:
    """Map each path below `root` to its mode and the hash of its content."""
    return {
        str(path.relative_to(root)): (
            path.stat().st_mode,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(root.rglob("*"))
    }
