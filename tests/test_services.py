"""Generated services pass their own `make lint` and `make test`, run as their owners would."""

import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from project import Generate

from tools.demo import OURS

pytestmark = pytest.mark.service

COMBINATIONS = {
    "both": {},
    "postgres": {"redis": False},
    "redis": {"postgres": False},
    "neither": {"postgres": False, "redis": False, "slo_tier": "edge", "github": False},
}
combination = pytest.mark.parametrize("answers", COMBINATIONS.values(), ids=COMBINATIONS)


def make(service: Path, target: str) -> None:
    """Run a target of a service's Makefile with nothing of our own environment in its way."""
    ended = subprocess.run(
        ["make", "--no-print-directory", "-C", str(service), target],
        env={
            name: value
            for name, value in os.environ.items()
            if name not in OURS and not name.startswith(("MAKE", "MFLAGS", "PYTEST_"))
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


@combination
def test_a_service_passes_its_own_lint_and_tests(
    generate: Generate, answers: dict[str, object]
) -> None:
    service = generate(**answers)
    make(service, "lint")
    make(service, "test")
    assert locked(service) == pinned(service)


def locked(service: Path) -> set[str]:
    """List what the service's own lock file came to hold."""
    packages = tomllib.loads((service / "uv.lock").read_text("utf-8"))["package"]
    return {
        f"{each['name']}=={each['version']}" for each in packages if "registry" in each["source"]
    }


def pinned(service: Path) -> set[str]:
    """List the versions that the template names for the service."""
    settings = tomllib.loads((service / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]
    return set(settings["constraint-dependencies"])


@pytest.mark.parametrize("package", ["a", "z" * 40])
def test_the_code_is_formatted_and_sorted_whatever_the_names_are(
    generate: Generate, package: str
) -> None:
    service = generate(project_name='Сервис "Заказы" \\', project_slug="s", package_name=package)
    make(service, "lint")
