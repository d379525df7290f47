"""What a library costs before anything breaks: the lines to add and the time to import."""

import ast
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .libraries import Library

IMPORT_TIMEOUT = 60.0
FRAMEWORKS = ("django", "fastapi", "flask")
TIMED = """
import sys, time
sys.modules.update(dict.fromkeys({missing}))
import {base}
started = time.process_time()
{statement}
print(time.process_time() - started)
"""
EXIT = "import os, sys; sys.stdout.flush(); os._exit(0)"
"""Threads of a pool would delay the exit."""


@dataclass(frozen=True)
class Costs:
    """Lines of code to add, lines of Python to own, and seconds of CPU beyond those of the base."""

    lines: int
    copied_lines: int
    import_seconds: float


def code_lines(file: Path) -> int:
    """Count the lines of a module without its docstring, empty lines and comments."""
    source = file.read_text("utf-8")
    docstring = ast.parse(source).body[0].end_lineno or 0
    lines = map(str.strip, source.splitlines()[docstring:])
    return sum(bool(line) and not line.startswith("#") for line in lines)


def copied_lines(project: Path) -> int:
    """Count the lines of Python that `make copy` has put into a project, without its tests."""
    folders = [project / "shop" / name for name in ("health", "dependencies")]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    return sum(len(file.read_text("utf-8").splitlines()) for file in files)


def measure_costs(
    libraries: Sequence[Library], variables: Mapping[str, str], project: Path, rounds: int
) -> dict[str, Costs]:
    """Return the costs of each library."""
    return {
        library.name: Costs(
            code_lines(library.file),
            0 if library.package else copied_lines(project),
            import_seconds(library, variables, rounds),
        )
        for library in libraries
    }


def import_seconds(library: Library, variables: Mapping[str, str], rounds: int) -> float:
    """Return the CPU time of importing the application with the library after the one without it.

    It is the least of some rounds. The second import starts Django, and that is subtracted.
    The other frameworks look as if they were not installed: a library can import all that are.
    """
    base = f"{library.folder}.{library.base}"
    missing = [name for name in FRAMEWORKS if name != library.framework.lower()]

    def least(statement: str) -> float:
        code = TIMED.format(base=base, statement=statement, missing=missing) + EXIT
        return min(run_and_read(code, variables) for _ in range(rounds))

    start = least(f"{base}.create_application()") if library.framework == "Django" else 0.0
    return max(0.0, least(f"import {library.folder}.{library.module}") - start)


def run_and_read(code: str, variables: Mapping[str, str]) -> float:
    """Run code in a new interpreter, and return the number that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=IMPORT_TIMEOUT,
    )
    return float(done.stdout)
