"""Generated services pass their own `make lint` and `make test`, run as their owners would.

`make test-all` tries the pairs too: one after the other in the same environment, of which what is
equal stays. Of their tests it runs those of the seams, where features meet: the others are, but for
names, what the template folder's own tests are.
"""

import json
import os
import shutil
import signal
import subprocess
import time
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from combinations import FEW, every_pair
from dev.ports import free_port
from project import Generate, generate_in

from hooks.post_gen_project import FEATURES
from tools.generate import environment

pytestmark = pytest.mark.service

PAIRS = {name: answers for name, answers in every_pair().items() if name not in FEW}
HELD_ELSEWHERE = ("everything", "postgres", "sentinel", "observability")
SEAMS_ALONE = ("events", *PAIRS)
SEAMS = "tests/items tests/service/test_lifecycle.py tests/service/test_requests.py"
PATIENCE = 60.0
"""Seconds for what takes a moment, unless the machine is very busy."""


@dataclass(frozen=True)
class Service:
    """A generated service. variables: what its commands have in their environment, beside ours."""

    name: str
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self, **variables: str) -> dict[str, str]:
        """Return what its commands have, with nothing of ours in their way."""
        # There may be another service beside it.
        return environment() | {"WORKERS": "2"} | dict(self.variables) | variables

    def make(self, target: str, **variables: str) -> None:
        """Run a target of its Makefile."""
        ended = subprocess.run(
            ["make", "--no-print-directory", "-C", str(self.folder), target],
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try the few, or with --all also the pairs."""
    if "service" in metafunc.fixturenames:
        names = [*FEW, *(PAIRS if metafunc.config.getoption("--all") else ())]
        metafunc.parametrize("service", names, indirect=True, scope="module")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return variables by which one service after the other uses what the last has set up."""
    folder = tmp_path_factory.mktemp("kept")
    return {
        "MYPY_CACHE_DIR": str(folder / "mypy"),
        "UV_COMPILE_BYTECODE": "0",
        "UV_PROJECT_ENVIRONMENT": str(folder / "environment"),
    }


@pytest.fixture(scope="module")
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kept: dict[str, str]
) -> Iterator[Service]:
    """Generate one service a combination, for all of the tests, and delete it behind them."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    yield Service(name, generate_in(folder, **(FEW | PAIRS)[name]), kept if name in PAIRS else {})
    shutil.rmtree(folder)


def test_a_service_passes_its_own_lint(service: Service) -> None:
    service.make("lint")


def test_a_service_passes_its_own_tests(service: Service, pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--all"):
        if service.name in HELD_ELSEWHERE:
            pytest.skip("the template folder's own tests and the others' hold all of it")
        if "CI" not in os.environ and service.name != "nothing":
            pytest.skip("takes minutes, and the template folder's hold most of it: set CI=true")
    service.make("test", ARGS=SEAMS if service.name in SEAMS_ALONE else "")


def test_a_service_serves_on_its_servers_and_leaves_with_them(service: Service) -> None:
    service.make("settings")
    port, management = str(free_port()), str(free_port())
    ports = {"SERVICE_PORT": port, "SERVICE_MANAGEMENT_PORT": management}
    with (service.folder.parent / "dev.log").open("w+") as log:
        serving = subprocess.Popen(
            ["make", "--no-print-directory", "-C", str(service.folder), "dev"],
            env=service.environment(**ports),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,  # as a shell gives it one, for Ctrl-C
        )
        try:
            answers = [until_passed(port, probe) for probe in ("ready", "startup", "live")]
        finally:
            os.killpg(serving.pid, signal.SIGINT)
            serving.wait(PATIENCE)
            log.seek(0)
        assert answers == ["pass"] * 3, log.read()
    assert asked(port, "live") is None


def until_passed(port: str, probe: str) -> str | None:
    """Ask a probe until it passes, or for too long; return what it said last."""
    deadline = time.monotonic() + PATIENCE
    while (said := asked(port, probe)) != "pass" and time.monotonic() < deadline:
        time.sleep(0.1)
    return said


def asked(port: str, probe: str) -> str | None:
    """Return the status that a probe tells, or None if nobody answers, or not with 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/{probe}", timeout=5) as answer:
            status: str = json.load(answer)["status"]
            return status
    except OSError:
        return None


def test_a_service_locks_exactly_what_was_pinned(service: Service) -> None:
    service.make("settings")  # the least that sets a service up
    locked = tomllib.loads((service.folder / "uv.lock").read_text("utf-8"))["package"]
    settings = tomllib.loads((service.folder / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]
    assert sorted(settings["constraint-dependencies"]) == sorted(
        f"{each['name']}=={each['version']}" for each in locked if "registry" in each["source"]
    )


@pytest.mark.parametrize("package", ["a", "z" * 40])
def test_the_code_is_formatted_and_sorted_whatever_the_names_are(
    generate: Generate, package: str
) -> None:
    folder = generate(
        project_name='Сервис "Заказы" \\',
        project_slug="s",
        package_name=package,
        **dict.fromkeys(FEATURES, True),
    )
    Service(package, folder).make("lint")
