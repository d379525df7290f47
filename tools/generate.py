"""Generate services, and run their commands without the environment of the template."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).parents[1]

# The variables that template.mk sets for the template folder. A generated service has its own.
TEMPLATE_VARIABLES = (
    "DEV_DATA",
    "MYPY_CACHE_DIR",
    "PYTEST_ADDOPTS",
    "PYTHONPYCACHEPREFIX",
    "RUFF_CACHE_DIR",
    "UV_PROJECT_ENVIRONMENT",
)


def generate(output: Path, **answers: object) -> Path:
    """Generate a service below `output` from the given answers, else from the defaults."""
    return generate_from(ROOT, output, answers)


def generate_from(template: Path, output: Path, answers: Mapping[str, object]) -> Path:
    """Do the same from a clone or an archive of the template.

    The parent of `output` gets the files that cookiecutter writes into a home folder.
    """
    made = cookiecutter(
        str(template),
        no_input=True,
        extra_context=dict(answers),
        output_dir=str(output),
        config_file=str(settings(output.parent)),
    )
    return Path(made)


def settings(folder: Path) -> Path:
    """Write settings that keep cookiecutter out of the home folder of the user."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "cookiecutter.yaml"
    text = f"replay_dir: {folder / 'replay'}\ncookiecutters_dir: {folder / 'downloads'}\n"
    file.write_text(text, "utf-8")
    return file


def set_up(service: Path, **variables: str) -> None:
    """Install the packages of a service, or exit with the output of make."""
    ended = subprocess.run(
        [
            "make",
            "--no-print-directory",
            "-C",
            str(service),
            "settings",
        ],  # the fastest target that sets up
        env=environment() | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        sys.exit(f"{service.name} cannot be set up:\n{ended.stdout}")


def environment() -> dict[str, str]:
    """Return the environment without the variables of the template, make and pytest."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in TEMPLATE_VARIABLES and not name.startswith(("MAKE", "MFLAGS", "PYTEST_"))
    }
