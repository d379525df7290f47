"""Asks git whether a project has changes, and lets it merge."""

import subprocess
import tempfile
from pathlib import Path

from dev.copy.pattern import CopyError

GIT_TIMEOUT = 60.0
"""Seconds for one command, which can read a large project from a slow disk."""


def require_clean(root: Path) -> None:
    """Raise CopyError if files of the project are not committed. Without git, there are none."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return
    ended = _git(root, "status", "--porcelain", "--", ".")
    if ended.returncode:
        reason = ended.stderr.partition("\n")[0]
        raise CopyError(f"git cannot read the state of {root}: {reason}.")
    if changed := ended.stdout.splitlines():
        raise CopyError(
            f"{root} has changes that are not committed, for example {changed[0][3:]}. Commit them,"
            " or add DIRTY=1."
        )


def merge(mine: str, old: str, new: str, root: Path) -> tuple[str, bool]:
    """Merge as git does. Return the text, and whether it has conflicts."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for name, text in (("yours", mine), ("copied", old), ("candid", new)):
            (Path(folder) / name).write_text(text, "utf-8")
            names.append(str(Path(folder) / name))
        labels = [each for name in ("yours", "as copied", "Candid") for each in ("-L", name)]
        ended = _git(root, "merge-file", "-p", *labels, *names)
    if ended.returncode not in range(128):
        raise CopyError(f"git cannot merge: {ended.stderr.strip()}.")
    return ended.stdout, ended.returncode > 0


def _git(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - as the user calls it
            capture_output=True,
            encoding="utf-8",
            timeout=GIT_TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        raise CopyError("git is missing. Install it.") from None
    except subprocess.TimeoutExpired:
        raise CopyError(f"git did not end within {GIT_TIMEOUT:g} s. Try again.") from None
