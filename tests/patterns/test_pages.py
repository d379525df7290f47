"""Every page of `docs/patterns/` works as written, in an application that is not from Candid."""

import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import pytest

from .acceptance import ACCEPTANCE
from .host_app import FASTAPI, Dependency, serve
from .imports import imported_packages
from .pages import PAGES, follow, mentioned_packages, read_page, required_packages
from .selected import for_each_selected

ONLY_OWN_TEST = ("embedded-postgres", "embedded-redis", "slo-rules")
"""Pages that change nothing that a client of the application could observe."""
OTHER_HOSTS = ("flask",)
"""Pages for applications that `test_hosts.py` has."""
STARTED_AS_MODULE = {"slow-clients", "graceful-shutdown"}
DEPENDENCIES = {
    "check-postgres": ("postgres", "DATABASE_URL"),
    "check-redis": ("valkey", "REDIS_URL"),
    "check-mariadb": ("mariadb", "MARIADB_URL"),
    "check-nats": ("nats", "NATS_URL"),
    "check-rabbitmq": ("rabbitmq", "RABBITMQ_URL"),
    "fail-fast": ("valkey", "REDIS_URL"),
}
PROGRAMS = {
    "slo-rules": ("promtool", "prometheus"),
    "check-mariadb": ("mariadbd", "mariadb-server"),
    "check-nats": ("nats-server", "nats-server"),
    "check-rabbitmq": ("rabbitmq-server", "rabbitmq-server"),
}
"""The program that a page needs, and its Debian package."""
CLOSED_PORT = "http://127.0.0.1:1"
VARIABLES = {
    "PAYMENTS_URL": CLOSED_PORT,
    "UPLOADS": "uploads",
    "BROKER_URL": "memory://",
    "RESULTS_URL": "cache+memory://",
    "OTEL_EXPORTER_OTLP_ENDPOINT": CLOSED_PORT,
    "DRAIN_DELAY": "4",
}
PAGE_TIMEOUT = 900.0
"""Seconds for all pages, which are followed four at a time."""


def follow_and_accept(name: str, folder: Path) -> None:
    """Follow a page in an application of its own, and test its guarantees as a client."""
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "main.py").write_text(FASTAPI.lstrip(), "utf-8")
    page, variables, dependency = read_page(name), VARIABLES, None
    with ExitStack() as stack:
        if name in DEPENDENCIES:
            server_name, variable = DEPENDENCIES[name]
            dependency = stack.enter_context(Dependency(server_name, folder / "server"))
            variables = {**VARIABLES, variable: dependency.url}
        follow(page, folder, variables)
        imported, required = imported_packages(folder), required_packages(page)
        assert imported <= required <= imported | mentioned_packages(folder)
        if name in ACCEPTANCE:
            module = "shop" if name in STARTED_AS_MODULE else "shop.main:app"
            server = stack.enter_context(serve(folder, module, variables))
            ACCEPTANCE[name](server, dependency)


@pytest.fixture(scope="module")
def followed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Follow all selected pages in parallel: most of the time they wait."""
    test = test_page_works_as_written
    yield from for_each_selected(request, test, follow_and_accept, tmp_path_factory)


@pytest.mark.parametrize("name", [*ACCEPTANCE, *ONLY_OWN_TEST])
def test_page_works_as_written(name: str, followed: dict[str, Future[None]]) -> None:
    program, package = PROGRAMS.get(name, ("sh", ""))
    if not shutil.which(program):
        reason = f"{program} is not installed: apt install {package}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    followed[name].result(PAGE_TIMEOUT)


def test_every_page_is_tested_and_in_the_index() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert pages == {*ACCEPTANCE, *ONLY_OWN_TEST, *OTHER_HOSTS}
    links = re.findall(r"^\| \[.+?\]\((.+)\.md\)", read_page("README"), re.MULTILINE)
    assert pages == set(links)
