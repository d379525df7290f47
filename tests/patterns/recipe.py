"""Performs a page of `docs/patterns/` as its reader would: block after block, as written."""

import os
import re
import signal
import subprocess
from pathlib import Path

from project import TEMPLATE

from tools.generate import ROOT, environment

PAGES = TEMPLATE / "docs" / "patterns"
ENVIRONMENT = ROOT / ".build" / "venv" / "bin"
QUIET = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Leaves nothing in the template folder, and none of our plugins in the reader's tests."""
PATIENCE = 90
"""Seconds that a block of shell may take."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\S+\.\w+)\n")


def read(page: str) -> str:
    """Return the text of a page."""
    return (PAGES / f"{page}.md").read_text("utf-8")


def perform(page: str, project: Path, variables: dict[str, str] | None = None) -> None:
    """Do in a project what a page says, its own test included.

    A block of shell is run. One of anything else begins with the name of its file, and is added to
    its end. variables: of the environment, beside the `FROM` that every page speaks of.
    """
    for language, text in BLOCK.findall(page):
        if language == "sh":
            run(text, project, variables)
            continue
        name = FILE.match(text)
        assert name, f"no file is named for:\n{text}"
        path = project / name[1]
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n{text[name.end() :].lstrip()}")


def run(script: str, project: Path, variables: dict[str, str] | None = None) -> None:
    """Run a block of shell, and show what it wrote if it fails."""
    with subprocess.Popen(
        ["sh", "-eu", "-c", script],
        cwd=project,
        env=reader() | (variables or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            told, _ = shell.communicate(timeout=PATIENCE)
        except BaseException:
            os.killpg(shell.pid, signal.SIGKILL)  # and with it what it waits for
            raise
    assert shell.returncode == 0, f"{script}\n{told}"


def reader() -> dict[str, str]:
    """Return the environment of a reader, who has the packages of the reference service."""
    path = os.pathsep.join([str(ENVIRONMENT), os.environ["PATH"]])
    return environment() | {"PATH": path, "FROM": str(TEMPLATE), **QUIET}


def flat(page: str) -> str:
    """Change a page for an application that is no package, as the index of the pages says."""
    page = re.sub(r"\bfrom shop\.", "from ", page)
    return re.sub(r"\bfrom \.", "from ", page).replace(" shop/", " ./")


def needs(page: str) -> set[str]:
    """Return the packages that a page names as needed."""
    [sentence] = re.findall(r"^\*\*Needs:\*\* (.*?)\n\n", page, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([a-z0-9-]+)`", sentence)) | {"fastapi"}  # which is the application's


def named(project: Path) -> set[str]:
    """Return the packages whose names stand in a project's code, if only in a string or a test."""
    code = "\n".join(path.read_text("utf-8") for path in project.rglob("*.py"))
    return {word.replace("_", "-").lower() for word in re.findall(r"\w+?(?=\b|_impl\b)", code)}


def copied(page: str) -> set[str]:
    """Return the files and folders that a page copies; `$name` is any name."""
    return {path.replace("$name", "*") for path in re.findall(r'"\$FROM/(.+?)"', page)}
