"""A generated service works whoever owns it, and on each newer Python: `make test-all`."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from combinations import FEW
from generated import SEAMS, Service
from project import generate_in

pytestmark = pytest.mark.service

NEWER = ("3.12", "3.13", "3.14")
NOBODY = 65534
"""The user who owns nothing, by its usual number."""


@pytest.fixture
def folder(pytestconfig: pytest.Config) -> Iterator[Path]:
    """Return a folder that everybody may enter, which pytest's own are not."""
    if not pytestconfig.getoption("--all"):
        pytest.skip("takes minutes: make test-all")
    with tempfile.TemporaryDirectory(prefix="whoever-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def test_an_ordinary_user_has_all_that_root_has(folder: Path) -> None:
    """Who is no root already, is an ordinary user in all the other tests."""
    if os.geteuid() != 0:
        pytest.skip("all tests are this one")
    made = generate_in(folder, **FEW["everything"])
    for each in (folder, *folder.rglob("*")):
        os.chown(each, NOBODY, NOBODY, follow_symlinks=False)
    path = os.environ["PATH"].split(os.pathsep)
    theirs = [part for part in path if not Path(part).is_relative_to(Path.home())]  # it is closed
    variables = {"HOME": str(folder), "PATH": os.pathsep.join(theirs)}
    try_out(Service("ordinary", made, variables, NOBODY))


@pytest.mark.parametrize("version", NEWER)
def test_a_newer_python_does(version: str, folder: Path) -> None:
    python = found(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    made = generate_in(folder, **FEW["everything"])
    try_out(Service(version, made, {"UV_PYTHON": python}))
    ran = subprocess.check_output([made / ".venv/bin/python", "--version"], text=True)
    assert ran.startswith(f"Python {version}.")


def try_out(service: Service) -> None:
    """Do with it what its owners do."""
    service.make("lint")
    service.make("test", ARGS=SEAMS)
    service.serve_and_leave()


def found(version: str) -> str | None:
    """Return the path of a Python, from PATH or from where pyenv keeps those that are not there."""
    candidates = [shutil.which(f"python{version}")]
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += [str(python) for python in kept.glob(f"{version}.*/bin/python{version}")]
    return next((python for python in candidates if python and runs(python)), None)


def runs(python: str) -> bool:
    """Tell whether it is one, and not pyenv's stand-in for one that was not chosen."""
    return not subprocess.run([python, "--version"], capture_output=True, check=False).returncode
