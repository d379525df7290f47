"""Generated services pass their own `make lint` and `make test`, and serve with `make dev`.

`make test-all` also tests each pair of features. The pairs share one environment, so that equal
packages stay installed. Only the integration tests run for a pair, and once per different code: the
other tests are the same as in the template folder, except for names.
"""

import hashlib
import os
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from combinations import FEW, every_pair
from generated import INTEGRATION_TESTS, Service
from project import Generate, files, generate_in

from hooks.post_gen_project import FEATURES

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]

PAIRS = {name: answers for name, answers in every_pair().items() if name not in FEW}
TESTED_ELSEWHERE = ("everything", "postgres", "sentinel", "observability")
INTEGRATION_TESTS_ONLY = ("events", *PAIRS)
CODE = ("dev", "migrations", "src", "tests")
UNTESTED = "upgrade.py"
"""No test of a service runs this file."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Test the few services, with --all also the pairs."""
    if "service" in metafunc.fixturenames:
        names = [*FEW, *(PAIRS if metafunc.config.getoption("--all") else ())]
        metafunc.parametrize("service", names, indirect=True, scope="module")


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the environment and the mypy cache that the pairs share."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_folder: Path
) -> Iterator[Service]:
    """Generate one service per combination for all tests, and delete it afterwards."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    variables = {
        "MYPY_CACHE_DIR": str(shared_folder / "mypy"),
        "UV_COMPILE_BYTECODE": "0",
        "UV_PROJECT_ENVIRONMENT": str(shared_folder / "environment"),
    }
    made = generate_in(folder, **(FEW | PAIRS)[name])
    yield Service(name, made, variables if name in PAIRS else {})
    shutil.rmtree(folder)


def test_service_passes_its_own_lint(service: Service) -> None:
    service.make("lint")


def test_service_passes_its_own_tests(
    service: Service, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not pytestconfig.getoption("--all"):
        if service.name in TESTED_ELSEWHERE:
            pytest.skip("the tests of the template folder and of the other services cover it")
        if "CI" not in os.environ and service.name != "part_tests":
            pytest.skip("takes minutes; the template folder covers most of it: set CI=true")
    if service.name not in PAIRS:
        service.make(
            "test", ARGS=INTEGRATION_TESTS if service.name in INTEGRATION_TESTS_ONLY else ""
        )
        return
    shared = tmp_path_factory.getbasetemp().parent  # by all workers
    passed = shared / f"passed-{code_of(service.folder)}"
    if not passed.exists():
        service.make("test", ARGS=INTEGRATION_TESTS)
        passed.touch()


def code_of(folder: Path) -> str:
    """Return a hash of the code that the tests of a service run."""
    found = (file for part in CODE for file in files(folder / part))
    code = [file for file in found if file.name != UNTESTED]
    return hashlib.sha256(
        b"".join(bytes(file.relative_to(folder)) + file.read_bytes() for file in code)
    ).hexdigest()


def test_service_serves_until_interrupted_and_ends_its_servers(service: Service) -> None:
    service.serve_until_probes_pass()


def test_service_locks_exactly_the_pinned_versions(service: Service) -> None:
    service.make("settings")  # the fastest target that sets it up
    locked = tomllib.loads((service.folder / "uv.lock").read_text("utf-8"))["package"]
    settings = tomllib.loads((service.folder / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]
    assert sorted(settings["constraint-dependencies"]) == sorted(
        f"{each['name']}=={each['version']}" for each in locked if "registry" in each["source"]
    )


@pytest.mark.parametrize("package", ["a", "z" * 40])
def test_names_of_any_length_keep_the_code_formatted_and_sorted(
    generate: Generate, package: str
) -> None:
    folder = generate(
        project_name='Сервис "Заказы" \\',
        project_slug="s",
        package_name=package,
        **dict.fromkeys(FEATURES, True),
    )
    Service(package, folder).make("lint")
