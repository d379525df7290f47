"""Check the spelling and the words of every text file: `python -m tools.words [FILE...]`.

codespell finds misspelled words and British spelling. words.toml lists what this project no longer
says, each with a replacement. Every finding is printed as `path:line: found: use replacement`.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from hooks.post_gen_project import BUILD_ARTIFACTS
from tools.generate import ROOT

WORDS = ROOT / "tools" / "words.toml"
SKIPPED_FOLDERS = (*BUILD_ARTIFACTS, ".build", ".git", "schemas")
"""What building creates, and the schemas of other projects."""
EXEMPT = (WORDS, ROOT / "LICENSE", ROOT / "tests" / "test_words.py")
HISTORY = "CHANGELOG.md"
"""The only file that can name what was renamed, and in its tables quote it."""


class Rules(NamedTuple):
    """Regular expressions with their replacements: phrases in any case, names as written."""

    phrases: Mapping[re.Pattern[str], str]
    names: Mapping[re.Pattern[str], str]


def read_rules(file: Path = WORDS) -> Rules:
    """Read the rules from a TOML file with the tables `phrases` and `names`."""
    tables = tomllib.loads(file.read_text("utf-8"))
    return Rules(
        {re.compile(key, re.IGNORECASE): use for key, use in tables["phrases"].items()},
        {re.compile(key): use for key, use in tables["names"].items()},
    )


def text_files(root: Path) -> Iterator[Path]:
    """Yield the text files below `root`, without skipped folders and exempt files."""
    for path in sorted(root.iterdir()):
        if any(fnmatch(path.name, pattern) for pattern in SKIPPED_FOLDERS) or path in EXEMPT:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from text_files(path)
        elif path.is_file() and b"\0" not in path.read_bytes():
            yield path


def find_words(file: Path, rules: Rules) -> Iterator[str]:
    """Yield one line per word that `rules` replaces."""
    patterns = {**rules.phrases, **({} if file.name == HISTORY else rules.names)}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if file.name == HISTORY and line.startswith("|"):
            continue
        for pattern, replacement in patterns.items():
            if found := pattern.search(line):
                yield f"{file}:{number}: {found[0]}: use {replacement}"


def find_misspelled(files: Iterable[Path]) -> list[str]:
    """Return one line per misspelled word; its settings are in pyproject.toml."""
    command = [str(Path(sys.executable).parent / "codespell"), f"--toml={ROOT / 'pyproject.toml'}"]
    ended = subprocess.run(
        [*command, *map(str, files)], stdout=subprocess.PIPE, text=True, check=False
    )
    return ended.stdout.splitlines()


def main(names: list[str]) -> None:
    """Check the files, or all files of the template. Exit with the findings, if any."""
    files = [Path(name) for name in names]
    files = files or [file.relative_to(Path.cwd()) for file in text_files(Path.cwd())]
    rules = read_rules()
    findings = [line for file in files for line in find_words(file, rules)]
    findings += find_misspelled(files)
    if findings:
        sys.exit("\n".join(findings))


if __name__ == "__main__":
    main(sys.argv[1:])
