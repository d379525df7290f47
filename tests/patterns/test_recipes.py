"""Every page of `docs/patterns/` works as written, in applications that know nothing of ours."""

import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from .acceptance import LOOKS
from .host_app import FASTAPI, Dependency, served
from .imports import imports
from .recipe import PAGES, named, needs, perform, read

BY_ITS_OWN_TEST = ("embedded-postgres", "embedded-redis", "slo-rules")
"""These give an application nothing to be seen from outside."""
SERVES_ITSELF = {"slow-clients", "graceful-shutdown"}
DEPENDENCIES = {
    "check-postgres": ("postgres", "DATABASE_URL"),
    "check-redis": ("valkey", "REDIS_URL"),
}
NOBODY = "http://127.0.0.1:1"
VARIABLES = {"PAYMENTS_URL": NOBODY, "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY, "DRAIN_DELAY": "4"}


def works(page: str, folder: Path) -> None:
    """Perform a recipe in an application of its own, and see from outside what it guarantees."""
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "main.py").write_text(FASTAPI.lstrip(), "utf-8")
    recipe, variables, dependency = read(page), VARIABLES, None
    with ExitStack() as stack:
        if page in DEPENDENCIES:
            name, variable = DEPENDENCIES[page]
            dependency = stack.enter_context(Dependency(name, folder / "server"))
            variables = {**VARIABLES, variable: dependency.url}
        perform(recipe, folder, variables)
        assert imports(folder) <= needs(recipe) <= imports(folder) | named(folder)
        if page in LOOKS:
            module = "shop" if page in SERVES_ITSELF else "shop.main:app"
            LOOKS[page](stack.enter_context(served(folder, module, variables)), dependency)


@pytest.fixture(scope="module")
def performed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Perform all that are asked for beside each other: most of the time they wait."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    pages = [
        str(item.callspec.params["page"]) for item in items if item.function is test_its_recipe
    ]
    with ThreadPoolExecutor(4) as pool:
        yield {page: pool.submit(works, page, tmp_path_factory.mktemp(page)) for page in pages}


@pytest.mark.parametrize("page", [*LOOKS, *BY_ITS_OWN_TEST])
def test_its_recipe(page: str, performed: dict[str, Future[None]]) -> None:
    if page == "slo-rules" and not shutil.which("promtool"):
        reason = "promtool is not installed: apt install prometheus"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    performed[page].result()


def test_every_page_is_performed_and_in_the_index() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert pages == {*LOOKS, *BY_ITS_OWN_TEST}
    assert pages == set(re.findall(r"^\| \[.+?\]\((.+)\.md\)", read("README"), re.MULTILINE))
