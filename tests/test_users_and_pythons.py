"""A generated service works for an ordinary user and on each newer Python: `make test-all`."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from combinations import FEW
from generated import INTEGRATION_TESTS, Service
from project import generate_in

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]

NEWER = ("3.12", "3.13", "3.14")
NOBODY = 65534
"""The usual id of a user without rights."""


@pytest.fixture
def folder(pytestconfig: pytest.Config) -> Iterator[Path]:
    """Return a folder that all users can enter, unlike the folders of pytest."""
    if not pytestconfig.getoption("--all"):
        pytest.skip("takes minutes: make test-all")
    with tempfile.TemporaryDirectory(prefix="any-user-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def test_service_works_for_an_ordinary_user(folder: Path) -> None:
    """Without root, all other tests run as an ordinary user."""
    if os.geteuid() != 0:
        pytest.skip("all tests run as an ordinary user")
    made = generate_in(folder, **FEW["everything"])
    for each in (folder, *folder.rglob("*")):
        os.chown(each, NOBODY, NOBODY, follow_symlinks=False)
    path = os.environ["PATH"].split(os.pathsep)
    allowed = [
        part for part in path if not Path(part).is_relative_to(Path.home())
    ]  # closed to others
    variables = {"HOME": str(folder), "PATH": os.pathsep.join(allowed)}
    use(Service("ordinary", made, variables, NOBODY))


@pytest.mark.parametrize("version", NEWER)
def test_service_works_on_a_newer_python(version: str, folder: Path) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed")
    made = generate_in(folder, **FEW["everything"])
    use(Service(version, made, {"UV_PYTHON": python}))
    ran = subprocess.check_output([made / ".venv/bin/python", "--version"], text=True)
    assert ran.startswith(f"Python {version}.")


def use(service: Service) -> None:
    """Run the commands that an owner runs."""
    service.make("lint")
    service.make("test", ARGS=INTEGRATION_TESTS)
    service.serve_until_probes_pass()


def find_python(version: str) -> str | None:
    """Return the path of a Python in PATH or in the versions of pyenv, or None."""
    candidates = [shutil.which(f"python{version}")]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += [str(python) for python in versions.glob(f"{version}.*/bin/python{version}")]
    return next((python for python in candidates if python and runs(python)), None)


def runs(python: str) -> bool:
    """Return whether the file is a Python, not a shim of pyenv without a version."""
    return not subprocess.run([python, "--version"], capture_output=True, check=False).returncode
