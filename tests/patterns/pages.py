"""Follow a page of `docs/patterns/` as a reader does: block by block, exactly as written."""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from project import TEMPLATE

from tools.generate import ROOT, environment

PAGES = TEMPLATE / "docs" / "patterns"
BIN = ROOT / ".build" / "venv" / "bin"
ISOLATION = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Write nothing into the template folder, and load no plugins into the tests of a page."""
BLOCK_TIMEOUT = 90
"""Seconds for one block of shell commands."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# (\S+\.\w+)\n")
ADDED_PROBES = "app.add_middleware(Probes, registry=registry)"
ADDED_REGISTRY = re.compile(rf"registry = Registry\(\[(\w+)\]\)\n{re.escape(ADDED_PROBES)}\n")


def read_page(name: str) -> str:
    """Return the text of a page."""
    return (PAGES / f"{name}.md").read_text("utf-8")


def follow(page: str, project: Path, variables: Mapping[str, str] | None = None) -> None:
    """Do in a project what a page describes, and run its test.

    A shell block is run. A console block is the command that does the same, and is skipped. Any
    other block begins with a file name, and is appended to that file.
    variables: of the environment, in addition to `FROM`.
    """
    for language, text in BLOCK.findall(page):
        if language == "sh":
            run_shell(text, project, variables)
            continue
        if language == "console":
            continue
        name = FILE_NAME.match(text)
        assert name, f"the block has no file name:\n{text}"
        path = project / name[1]
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n{text[name.end() :].lstrip()}")


def run_shell(script: str, project: Path, variables: Mapping[str, str] | None = None) -> str:
    """Run a shell script in a project, and return its output, which is in the error if it fails."""
    with subprocess.Popen(
        ["sh", "-eu", "-c", script],
        cwd=project,
        # A folder of its own: a session deletes the old folders of all sessions in the usual one.
        env={
            **reader_environment(),
            "PYTEST_DEBUG_TEMPROOT": str(project.parent),
            **(variables or {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            output, _ = shell.communicate(timeout=BLOCK_TIMEOUT)
        except BaseException:
            os.killpg(shell.pid, signal.SIGKILL)  # the script and everything that it started
            raise
    assert shell.returncode == 0, f"{script}\n{output}"
    return output


def reader_environment() -> dict[str, str]:
    """Return the environment of a reader who has the packages of the reference service."""
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    return environment() | {"PATH": path, "FROM": str(TEMPLATE), **ISOLATION}


def without_package(page: str) -> str:
    """Change a page for an application without a package, as the index describes."""
    page = re.sub(r"\bfrom shop\.", "from ", page)
    return re.sub(r"\bfrom \.", "from ", page).replace(" shop/", " ./")


def merge_registries(code: str) -> str:
    """Change the code of an application to one `Registry` at its end, as the index describes."""
    checks = ", ".join(ADDED_REGISTRY.findall(code))
    return f"{ADDED_REGISTRY.sub('', code)}\nregistry = Registry([{checks}])\n{ADDED_PROBES}\n"


def required_packages(page: str) -> set[str]:
    """Return the packages that a page requires, and FastAPI, which the application has."""
    [sentence] = re.findall(r"^\*\*Requires:\*\* (.*?)\n\n", page, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([a-z0-9-]+)`", sentence)) | {"fastapi"}


def mentioned_packages(project: Path) -> set[str]:
    """Return every word in the code of a project, as a package name. Strings and tests count."""
    code = "\n".join(path.read_text("utf-8") for path in project.rglob("*.py"))
    return {word.replace("_", "-").lower() for word in re.findall(r"\w+?(?=\b|_impl\b)", code)}


def copied_paths(page: str) -> set[str]:
    """Return the files and folders that a page copies. `$name` becomes `*`."""
    return {path.replace("$name", "*") for path in re.findall(r'"\$FROM/(.+?)"', page)}
