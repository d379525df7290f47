"""The health engine in applications of other frameworks, under their servers, as clients see it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .host_app import Dependency, Server, wait_until
from .pages import follow, read_page, reader_environment

FLASK = """
from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello():
    return "hello"


@app.get("/raise")
def raise_error():
    raise ValueError("secret")
"""
DJANGO = """
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__, SECRET_KEY="for a test"
)
urlpatterns = [path("", lambda request: HttpResponse("hello"))]
"""
LITESTAR = """
from litestar import Litestar, get


@get("/")
async def hello() -> str:
    return "hello"


app = Litestar([hello])
"""
QUART = """
from quart import Quart

app = Quart(__name__)


@app.get("/")
async def hello():
    return "hello"
"""
PYTHON = Path(sys.executable)
GUNICORN = ["-m", "gunicorn", "--workers", "2", "--bind", "127.0.0.1:0"]
UVICORN = ["-m", "uvicorn", "--port", "0"]
EACH_WORKER = 20
"""Requests on new connections, of which each of two workers gets some."""


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Dependency]:
    """Run a Valkey server, which a test can freeze."""
    with Dependency("valkey", tmp_path / "server") as dependency:
        yield dependency


def variables(cache: Dependency) -> dict[str, str]:
    """Return the environment: the tools of the template have the packages of the frameworks."""
    path = f"{PYTHON.parent}:{reader_environment()['PATH']}"
    return {"CACHE_PORT": str(urlsplit(cache.url).port), "PATH": path}


def package(folder: Path, code: str) -> Path:
    """Create the package `shop` with an application."""
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "main.py").write_text(code.lstrip(), "utf-8")
    return folder


def assert_probes_agree_with(cache: Dependency, server: Server) -> None:
    """Freeze what the check asks, and thaw it: every worker must say so.

    The first worker can answer all requests before the second one is there.
    """

    def all_answer(status: int, path: str = "/health/ready") -> bool:
        answers = [server.request(path).status for _ in range(EACH_WORKER)]
        return answers == [status] * EACH_WORKER

    wait_until(lambda: all_answer(200))
    assert server.request("/").body == b"hello"
    wait_until(lambda: all_answer(200, "/health/startup"))
    cache.send("pause")
    wait_until(lambda: all_answer(504))
    assert server.request("/health/live").status == 200
    assert server.request("/").status == 200
    cache.send("resume")
    wait_until(lambda: all_answer(200))


def test_flask_page_works_as_written(tmp_path: Path, cache: Dependency) -> None:
    project = package(tmp_path, FLASK)
    follow(read_page("flask"), project, variables(cache))
    command = [*GUNICORN, "shop.main:app"]
    with Server(project, command, variables(cache), PYTHON) as server:
        assert_probes_agree_with(cache, server)
        assert server.request("/raise").status == 500


@pytest.mark.parametrize(
    ("framework", "command", "wiring"),
    [
        (DJANGO, GUNICORN, "WSGIProbes(get_wsgi_application(), registry)"),
        (DJANGO, UVICORN, "Probes(get_asgi_application(), registry)"),
        (LITESTAR, UVICORN, "Probes(app, registry)"),
        (QUART, UVICORN, "Probes(app, registry)"),
    ],
    ids=["Django WSGI", "Django ASGI", "Litestar", "Quart"],
)
def test_other_framework_has_true_probes(
    tmp_path: Path, cache: Dependency, framework: str, command: list[str], wiring: str
) -> None:
    page = read_page("flask")
    project = package(tmp_path, framework)
    flask, imports = "app.wsgi_app = WSGIProbes(app.wsgi_app, registry)", "import Check, "
    page = page.replace(flask, f"application = {wiring}").replace(imports, f"{imports}Probes, ")
    copy_and_add, _ = page.split("**Test**")
    follow(copy_and_add, project, variables(cache))
    with Server(project, [*command, "shop.main:application"], variables(cache), PYTHON) as server:
        assert_probes_agree_with(cache, server)
