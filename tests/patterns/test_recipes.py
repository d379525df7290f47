"""Every page of `docs/patterns/` works as written, in applications that know nothing of ours."""

from pathlib import Path

import pytest

from .foreign import FASTAPI, STARLETTE, served
from .outside import LOOKS
from .recipe import PAGES, flat, imports, needs, perform

ANY_ASGI = ("health-engine", "check-of-your-own", "recovery", "timeout", "load-limit", "body-limit")
SERVED_BY = {"slow-clients": "shop"}
VARIABLES = {"PAYMENTS_URL": "http://127.0.0.1:1/health/ready"}  # where nobody listens


def read(page: str) -> str:
    return (PAGES / f"{page}.md").read_text("utf-8")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """An application that is a package, as one of FastAPI's often is."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "main.py").write_text(FASTAPI.lstrip(), "utf-8")
    return tmp_path


@pytest.mark.parametrize("page", LOOKS)
def test_its_recipe_gives_a_fastapi_application_what_it_guarantees(page: str, shop: Path) -> None:
    recipe = read(page)
    perform(recipe, shop, VARIABLES)
    assert imports(shop) - {"fastapi"} <= needs(recipe)
    with served(shop, SERVED_BY.get(page, "shop.main:app"), VARIABLES) as server:
        LOOKS[page](server, shop)


@pytest.mark.parametrize("page", ANY_ASGI)
def test_its_recipe_works_in_a_flat_starlette_application_too(page: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(STARLETTE.lstrip(), "utf-8")
    perform(flat(read(page)), tmp_path, VARIABLES)
    with served(tmp_path, "main:app", VARIABLES) as server:
        LOOKS[page](server, tmp_path)
