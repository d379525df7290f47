"""Run `make copy` as a reader does, and do what it prints."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from project import TEMPLATE

from .host_app import FASTAPI, STARLETTE
from .pages import BLOCK, read_page, reader_environment, run_shell

COPY_TIMEOUT = 60
"""Seconds for one command, which takes less than one on an idle machine."""
ADDED = re.compile(
    r"^Add to (\S+):\n\n(.*?)(?=\nAdd to |\nRun the test )", re.MULTILINE | re.DOTALL
)
COMMANDS = re.compile(r"^Run the test in (.+):\n\n((?:  .+\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class HostApp:
    """An application to copy patterns into.

    into: the folder of its package. module: of the application, for uvicorn. runner: for `python
    -m`, if a pattern starts the server itself.
    """

    files: Mapping[str, str]
    into: str
    module: str
    runner: str
    variables: Mapping[str, str] = field(default_factory=dict)

    def create(self, project: Path) -> None:
        """Write the application into a new project."""
        for name, text in self.files.items():
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")


HOSTS = {
    "flat": HostApp({"main.py": FASTAPI.lstrip()}, ".", "main:app", "serve"),
    "package": HostApp(
        {
            "pyproject.toml": '[project]\nname = "orders"\nrequires-python = ">=3.11"\n',
            "src/orders/__init__.py": "",
            "src/orders/web.py": re.sub(r"\bapp\b", "api", FASTAPI.lstrip()),
        },
        "src/orders",
        "orders.web:api",
        "orders",
        {"PYTHONPATH": "src"},
    ),
    "starlette": HostApp(
        {"shop/__init__.py": "", "shop/main.py": STARLETTE.lstrip()},
        "shop",
        "shop.main:app",
        "shop",
    ),
}


def make_copy(
    pattern: str, into: Path | str, *options: str, folder: Path = TEMPLATE
) -> "subprocess.CompletedProcess[str]":
    """Run `python -m dev.copy`, as `make copy` does, and return its output and exit status."""
    return subprocess.run(
        ["python3", "-m", "dev.copy", f"--pattern={pattern}", f"--into={into}", *options],
        cwd=folder,
        env=reader_environment(),
        capture_output=True,
        text=True,
        timeout=COPY_TIMEOUT,
        check=False,
    )


def copy_as_written(name: str, host: HostApp, project: Path) -> str:
    """Run the command of a page for this host, and return its output."""
    page = read_page(name)
    [command] = [text for language, text in BLOCK.findall(page) if language == "console"]
    written = command.removeprefix("$ ").replace('"$PWD/shop"', f'"$PWD/{host.into}"')
    assert f"PATTERN={name} " in written
    return run_shell(written, project)


def follow_output(output: str, project: Path, variables: Mapping[str, str]) -> None:
    """Add the printed lines to the files that the output names, and run the printed test."""
    [(folder, commands)] = COMMANDS.findall(output)
    assert Path(folder).is_relative_to(project)
    for name, text in ADDED.findall(output):
        path = Path(folder) / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n{text}")
    run_shell(commands, Path(folder), variables)
