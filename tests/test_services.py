"""Generated services pass their own `make lint` and `make test`, run as their owners would."""

import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from project import Generate, generate_in

from hooks.post_gen_project import FEATURES
from tools.generate import environment

pytestmark = pytest.mark.service

NOTHING: dict[str, object] = dict.fromkeys(FEATURES, False)
COMBINATIONS: dict[str, dict[str, object]] = {
    "defaults": {},
    "everything": dict.fromkeys(FEATURES, True),
    "postgres": NOTHING | {"postgres": True},
    "sentinel": NOTHING | {"redis": True, "sentinel": True},
    "events": NOTHING | {"kafka": True, "grpc": True, "observability": True},
    "observability": NOTHING | {"observability": True},
    "nothing": NOTHING | {"slo_tier": "edge"},
}
HELD_ELSEWHERE = ("everything", "postgres", "sentinel", "observability")


@pytest.fixture(scope="module", params=COMBINATIONS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate one service a combination, for all of the tests."""
    return generate_in(tmp_path_factory.mktemp(request.param), **COMBINATIONS[request.param])


def make(service: Path, target: str) -> None:
    """Run a target of a service's Makefile with nothing of our own environment in its way."""
    ended = subprocess.run(
        ["make", "--no-print-directory", "-C", str(service), target],
        env=environment() | {"WORKERS": "2"},  # there may be another one beside it
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


def test_a_service_passes_its_own_lint(service: Path) -> None:
    make(service, "lint")


def test_a_service_passes_its_own_tests(service: Path, request: pytest.FixtureRequest) -> None:
    (name,) = (name for name in COMBINATIONS if f"[{name}]" in request.node.name)
    if name in HELD_ELSEWHERE:
        pytest.skip("the template folder's own tests and the other combinations' hold all of it")
    if "CI" not in os.environ and name != "nothing":
        pytest.skip("takes minutes, and the template folder's tests hold most of it: set CI=true")
    make(service, "test")


def test_a_service_locks_exactly_what_was_pinned(service: Path) -> None:
    make(service, "settings")  # the least that sets a service up
    locked = tomllib.loads((service / "uv.lock").read_text("utf-8"))["package"]
    settings = tomllib.loads((service / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]
    assert sorted(settings["constraint-dependencies"]) == sorted(
        f"{each['name']}=={each['version']}" for each in locked if "registry" in each["source"]
    )


@pytest.mark.parametrize("package", ["a", "z" * 40])
def test_the_code_is_formatted_and_sorted_whatever_the_names_are(
    generate: Generate, package: str
) -> None:
    service = generate(
        project_name='Сервис "Заказы" \\',
        project_slug="s",
        package_name=package,
        **dict.fromkeys(FEATURES, True),
    )
    make(service, "lint")
