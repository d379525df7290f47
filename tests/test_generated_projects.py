"""Generated services pass their own `make lint` and `make test`, run as their owners would.

`make test-all` tries the pairs too: one after the other in the same environment, of which what is
equal stays. Of their tests it runs those of the seams, where features meet, once for what has the
same code: the others are, but for names, what the template folder's own tests are.
"""

import hashlib
import os
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from combinations import FEW, every_pair
from generated import SEAMS, Service
from project import Generate, files, generate_in

from hooks.post_gen_project import FEATURES

pytestmark = pytest.mark.service

PAIRS = {name: answers for name, answers in every_pair().items() if name not in FEW}
HELD_ELSEWHERE = ("everything", "postgres", "sentinel", "observability")
SEAMS_ALONE = ("events", *PAIRS)
CODE = ("dev", "migrations", "src", "tests")
NO_TEST_RUNS = "upgrade.py"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try the few, or with --all also the pairs."""
    if "service" in metafunc.fixturenames:
        names = [*FEW, *(PAIRS if metafunc.config.getoption("--all") else ())]
        metafunc.parametrize("service", names, indirect=True, scope="module")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for what one service after the other uses when the last has set it up."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kept: Path
) -> Iterator[Service]:
    """Generate one service a combination, for all of the tests, and delete it behind them."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    variables = {
        "MYPY_CACHE_DIR": str(kept / "mypy"),
        "UV_COMPILE_BYTECODE": "0",
        "UV_PROJECT_ENVIRONMENT": str(kept / "environment"),
    }
    made = generate_in(folder, **(FEW | PAIRS)[name])
    yield Service(name, made, variables if name in PAIRS else {})
    shutil.rmtree(folder)


def test_a_service_passes_its_own_lint(service: Service) -> None:
    service.make("lint")


def test_a_service_passes_its_own_tests(
    service: Service, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not pytestconfig.getoption("--all"):
        if service.name in HELD_ELSEWHERE:
            pytest.skip("the template folder's own tests and the others' hold all of it")
        if "CI" not in os.environ and service.name != "nothing":
            pytest.skip("takes minutes, and the template folder's hold most of it: set CI=true")
    if service.name not in PAIRS:
        service.make("test", ARGS=SEAMS if service.name in SEAMS_ALONE else "")
        return
    shared = tmp_path_factory.getbasetemp().parent  # by the workers
    passed = shared / f"passed-{code_of(service.folder)}"
    if not passed.exists():
        service.make("test", ARGS=SEAMS)
        passed.touch()


def code_of(folder: Path) -> str:
    """Return a hash of what the tests of a service run."""
    found = (file for part in CODE for file in files(folder / part))
    code = [file for file in found if file.name != NO_TEST_RUNS]
    return hashlib.sha256(
        b"".join(bytes(file.relative_to(folder)) + file.read_bytes() for file in code)
    ).hexdigest()


def test_a_service_serves_on_its_servers_and_leaves_with_them(service: Service) -> None:
    service.serve_and_leave()


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
