"""Every pattern works after `make copy`, in each kind of application."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import pytest
from project import TEMPLATE

from .acceptance import ACCEPTANCE
from .copying import HOSTS, HostApp, copy_as_written, follow_output, make_copy
from .host_app import Dependency, serve
from .pages import reader_environment, run_shell
from .selected import for_each_selected
from .test_hosts import FLASK, PYTHON
from .test_pages import DEPENDENCIES, ONLY_OWN_TEST, PAGE_TIMEOUT, STARTED_AS_MODULE, VARIABLES

PATTERNS = (*ACCEPTANCE, *ONLY_OWN_TEST)
NEEDS_FASTAPI = ("metrics",)
"""Its page says so: it reads the routes of FastAPI."""
PYTEST_INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""
ACCEPTED = "flat"
"""The host whose guarantees are tested as a client. test_pages.py tests those of a package."""


def copy_into_hosts(name: str, folder: Path) -> None:
    """Copy a pattern into each host, one after the other: they share the server of a dependency."""
    variables, dependency = VARIABLES, None
    with ExitStack() as stack:
        if name in DEPENDENCIES:
            server_name, variable = DEPENDENCIES[name]
            dependency = stack.enter_context(Dependency(server_name, folder / "server"))
            variables = {**VARIABLES, variable: dependency.url}
        for kind, host in HOSTS.items():
            if kind == "starlette" and name in NEEDS_FASTAPI:
                continue
            project = folder / kind
            project.mkdir()
            copy_and_test(name, host, project, {**variables, **host.variables})
            if kind == ACCEPTED and name in ACCEPTANCE:
                module = host.runner if name in STARTED_AS_MODULE else host.module
                with serve(project, module, {**variables, **host.variables}) as server:
                    ACCEPTANCE[name](server, dependency)


def copy_and_test(name: str, host: HostApp, project: Path, variables: Mapping[str, str]) -> None:
    """Copy a pattern into a new application, add the printed lines, and run the copied test."""
    host.create(project)
    follow_output(copy_as_written(name, host, project), project, variables)


@pytest.fixture(scope="module")
def copied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Copy all selected patterns in parallel: most of the time their tests wait."""
    test = test_pattern_works_in_each_host_after_make_copy
    yield from for_each_selected(request, test, copy_into_hosts, tmp_path_factory)


@pytest.mark.parametrize("name", PATTERNS)
def test_pattern_works_in_each_host_after_make_copy(
    name: str, copied: dict[str, Future[None]]
) -> None:
    copied[name].result(PAGE_TIMEOUT)


@pytest.mark.parametrize("kind", ["flat", "package"])
def test_tests_of_the_engine_run_in_the_copy(kind: str, tmp_path: Path) -> None:
    host = HOSTS[kind]
    host.create(tmp_path)
    copied = make_copy("health-engine", tmp_path / host.into, "--tests")
    assert copied.returncode == 0, copied.stderr
    (tmp_path / "pytest.ini").write_text(PYTEST_INI, "utf-8")
    source, copy = TEMPLATE / "tests" / "health", tmp_path / "tests" / "health_engine"
    assert {path.name for path in copy.iterdir()} == {path.name for path in source.glob("*.py")}
    script = "python -m pytest -q -p pytest_asyncio.plugin tests/health_engine"
    output = run_shell(script, tmp_path, host.variables)
    assert re.search(r"^\d{3} passed", output, re.MULTILINE)


def test_flask_pattern_works_in_a_flask_application_after_make_copy(tmp_path: Path) -> None:
    web = FLASK.lstrip().replace("app =", "web =").replace("@app", "@web")
    host = HostApp({"main.py": web}, ".", "", "")
    path = f"{PYTHON.parent}:{reader_environment()['PATH']}"
    copy_and_test("flask", host, tmp_path, {"PATH": path})
