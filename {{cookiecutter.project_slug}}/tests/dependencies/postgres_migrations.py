"""Runs Alembic as people do, in this project or in a copy with other migrations."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]


def copy_project(folder: Path) -> Path:
    """Copy what a migration and the service need, so that a test can add migrations."""
    without_caches = shutil.ignore_patterns("__pycache__")
    for name in ("migrations", "src"):
        shutil.copytree(PROJECT / name, folder / name, ignore=without_caches)
    shutil.copy(PROJECT / "pyproject.toml", folder)
    return folder


def add_migration(project: Path, revision: str, header: str, *upgrade: str) -> None:
    """Write a migration. header: what it assigns; upgrade: the lines of that function."""
    text = (
        f'"""{revision}."""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
        f'revision: str = "{revision}"\n{header}\n\n\n'
        "def upgrade() -> None:\n"
        + "".join(f"    {line}\n" for line in upgrade or ["pass"])
        + "\n\ndef downgrade() -> None:\n    pass\n"
    )
    (project / "migrations" / "versions" / f"{revision}_change.py").write_text(text, "utf-8")


def alembic(url: str | None, *command: str, project: Path = PROJECT) -> dict[str, Any]:
    """Return the arguments of subprocess.run and Popen that run Alembic."""
    inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment = inherited | {"PYTHONPATH": str(project / "src")}
    return {
        "args": [sys.executable, "-m", "alembic", *command],
        "cwd": project,
        "env": environment | ({"DATABASE_URL": url} if url else {}),
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


@contextmanager
def running(url: str, *command: str, project: Path = PROJECT) -> Iterator[subprocess.Popen[str]]:
    """Run Alembic in the background, at most until the end of the block."""
    with subprocess.Popen(**alembic(url, *command, project=project)) as process:
        try:
            yield process
        finally:
            process.kill()


def run(url: str | None, *command: str, project: Path = PROJECT) -> str:
    """Run Alembic, which must succeed, and return its output."""
    done = subprocess.run(**alembic(url, *command, project=project), check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return str(done.stdout + done.stderr)


def run_failing(url: str | None, *command: str, project: Path = PROJECT) -> str:
    """Run Alembic, which must fail, and return its output without the usual first lines."""
    done = subprocess.run(**alembic(url, *command, project=project), check=False, timeout=120)
    assert done.returncode != 0
    lines = (done.stderr + done.stdout).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("Context impl", "Will assume")))
