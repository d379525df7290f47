"""Decides what happens to each file, without writing any: the three-way merge of an update.

The text of a copy is kept in `.candid/` of the project, for the next update. It is the base of the
merge. A file that the team has changed is never overwritten.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dev.copy.adapt import origin_of, without_first_line
from dev.copy.git import merge
from dev.copy.pattern import CopyError

BASES = ".candid"
CONFLICT = "<<<<<<< "


class Result(StrEnum):
    """What happens to a file."""

    NEW = "new"
    UNCHANGED = "unchanged"
    KEPT = "kept, because your project has changed it and Candid has not"
    DELETED = "not restored, because your project has deleted it"
    MARKED = "only its first line added"
    MERGED = "merged"
    CONFLICT = "merged with conflicts"


@dataclass(frozen=True)
class Change:
    """What happens to a file: its new text, and the text of its base before and after."""

    path: Path
    base: Path
    result: Result
    text: str
    old_base: str
    new_base: str


def plan(files: Iterable[tuple[Path, str]], root: Path, *, update: bool) -> list[Change]:
    """Return what happens to each file of a pattern. Raises CopyError if one would be lost."""
    changes: list[Change] = []
    outdated: list[str] = []
    differing: list[str] = []
    for path, new in files:
        for folder in (path.parent, _base(path, root).parent):
            _require_folder(folder, root)
        change = _decide(path, new, root, update=update)
        if change:
            changes.append(change)
        else:
            base = _base(path, root)
            (outdated if base.exists() else differing).append(str(path.relative_to(root)))
    if differing:
        raise CopyError(
            f"In {root}, these files exist and differ: {', '.join(differing)}. Rename or delete"
            " them, or apply what you need by hand."
        )
    if outdated:
        raise CopyError(
            f"In {root}, these files were copied from an older version: {', '.join(outdated)}."
            " Add UPDATE=1 to merge what has changed."
        )
    return changes


def write(changes: Iterable[Change]) -> None:
    """Write the files, and the bases for the next update."""
    for change in changes:
        if change.result in (Result.NEW, Result.MARKED, Result.MERGED, Result.CONFLICT):
            _write(change.path, change.text)
        if change.result is not Result.DELETED:
            _write(change.base, change.new_base)


def _decide(path: Path, new: str, root: Path, *, update: bool) -> Change | None:
    """Return what happens to a file, or None if it must not be touched."""
    base = _base(path, root)
    old = _read(base) if base.exists() else ""

    def change(result: Result, text: str) -> Change:
        return Change(path, base, result, text, old, new)

    if not path.exists() and not path.is_symlink():
        return change(Result.DELETED if old and update else Result.NEW, new)
    mine = _read(path)
    if mine == new:
        return change(Result.UNCHANGED, mine)
    if old == new:
        return change(Result.KEPT, mine)
    if not update:
        return None
    if not old:
        return change(Result.MARKED, new) if mine == without_first_line(new) else None
    if CONFLICT in mine:
        raise CopyError(f"{path} still has conflicts of a merge. Resolve them first.")
    text, has_conflicts = merge(mine, old, new, root)
    return change(Result.CONFLICT if has_conflicts else Result.MERGED, text)


def _base(path: Path, root: Path) -> Path:
    """Return where the text of a copy is kept. With this name, linters do not read it."""
    relative = path.relative_to(root)
    return root / BASES / relative.with_name(f"{relative.name}.base")


def _require_folder(folder: Path, root: Path) -> None:
    """Raise CopyError unless a folder exists or can be created, and is not hidden by a module."""
    while folder != root and not folder.exists():
        if (module := folder.with_suffix(".py")).exists():
            raise CopyError(
                f"{module} has the name of a folder that the pattern needs. Rename the module."
            )
        folder = folder.parent
    if not folder.is_dir():
        raise CopyError(f"{folder} is a file, and the pattern needs a folder. Rename it.")
    if not os.access(folder, os.W_OK):
        raise CopyError(f"{folder} cannot be written. Change its permissions.")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise CopyError(f"{path} is not text in UTF-8. Rename it.") from error


def _write(path: Path, text: str) -> None:
    has_crlf = path.exists() and b"\r\n" in path.read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", newline="\r\n" if has_crlf else "\n")


def vanished(root: Path, exists: Callable[[str], bool]) -> list[Path]:
    """Return the copied files of a project whose origin no longer exists."""
    bases = sorted((root / BASES).rglob("*.base"))
    return [
        (root / base.relative_to(root / BASES)).with_suffix("")
        for base in bases
        if not exists(origin_of(_read(base)))
    ]
