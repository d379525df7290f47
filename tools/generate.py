"""Generates services as anybody would, and gives their commands an environment of their own."""

import os
import subprocess
import sys
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).parents[1]

# Variables by which the template keeps its own products together: they are not the service's.
OURS = (
    "DEV_DATA",
    "MYPY_CACHE_DIR",
    "PYTEST_ADDOPTS",
    "PYTHONPYCACHEPREFIX",
    "RUFF_CACHE_DIR",
    "UV_PROJECT_ENVIRONMENT",
)


def generate(output: Path, **answers: object) -> Path:
    """Generate a service below `output` from the answers given, and the defaults for the rest.

    Beside `output` it leaves what cookiecutter would leave in one's home folder.
    """
    made = cookiecutter(
        str(ROOT),
        no_input=True,
        extra_context=answers,
        output_dir=str(output),
        config_file=str(settings(output.parent)),
    )
    return Path(made)


def settings(folder: Path) -> Path:
    """Write settings that keep cookiecutter out of the home folder of whoever runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "cookiecutter.yaml"
    file.write_text(f"replay_dir: {folder / 'replay'}\n", "utf-8")
    return file


def set_up(service: Path, **variables: str) -> None:
    """Install what a service needs, with variables over our environment, or end and say why."""
    ended = subprocess.run(
        ["make", "--no-print-directory", "-C", str(service), "settings"],  # what does no more
        env=environment() | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        sys.exit(f"{service.name} cannot be set up:\n{ended.stdout}")


def environment() -> dict[str, str]:
    """Return our environment without what is ours, and without what make tells its children."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in OURS and not name.startswith(("MAKE", "MFLAGS", "PYTEST_"))
    }
