"""Runs the tests of a service on the Python of its image."""

import os
import re
import shutil
from pathlib import Path

import pytest
from project import generate_in

from tools.generate import ROOT

from .base_image import PYTHON
from .conftest import STORAGE
from .container import Container

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]

TESTS = ("tests/health", "tests/resilience")
NOBODY = "65534:65534"
CERTIFICATES = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
UV = Path(os.environ.get("UV") or shutil.which("uv") or ROOT / ".build/.uv/bin/uv")
NETWORK = re.compile(r"(https?|all|no)_proxy|UV_.*INDEX.*", re.IGNORECASE)
"""The variables with which uv finds the package index."""
PYTEST = ("python", "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider")


def test_engine_and_resilience_tests_pass_on_the_python_of_the_image(
    base_files: Path, tmp_path: Path
) -> None:
    """The tests run as an ordinary user who cannot change the service or its packages."""
    made = generate_in(tmp_path, part_tests=True)
    cache = STORAGE / "uv-cache"
    cache.mkdir(exist_ok=True)
    volumes = {made: "/srv", cache: "/mnt", UV.resolve().parent: "/opt"}
    files = {Path("/etc/resolv.conf"), CERTIFICATES}
    volumes |= {file: str(file) for file in files if (base_files / str(file)[1:]).exists()}
    variables = {name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)}
    if index := os.environ.get("PIP_INDEX_URL"):
        variables.setdefault("UV_DEFAULT_INDEX", index)
    variables |= {
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PATH": "/srv/.venv/bin:/usr/bin:/bin",
        "UV_CACHE_DIR": "/mnt",
        "UV_COMPILE_BYTECODE": "1",
        "UV_LINK_MODE": "copy",
        "UV_PYTHON": f"/usr/bin/{PYTHON}",
        "UV_SYSTEM_CERTS": "true",
    }
    environment = [f"{name}={value}" for name, value in variables.items()]

    def run(user: str, *command: str) -> str:
        settings = {"User": user, "WorkingDir": "/srv", "Env": environment}
        status, output = Container(base_files, settings, volumes).run(command)
        assert status == 0, output
        return output

    run("0:0", "/opt/uv", "sync", "--quiet")
    assert run(NOBODY, "python", "--version").startswith(PYTHON.replace("python", "Python "))
    assert " passed" in run(NOBODY, *PYTEST, *TESTS)
