"""`make copy` finds the application wherever a project has it, and says so if it does not."""

import re
from pathlib import Path

import pytest

from .copying import HOSTS, HostApp, copy_as_written, follow_output, make_copy
from .host_app import FASTAPI
from .test_copy_refusals import PACKAGE, write_files

WEB = HOSTS["package"].files["src/orders/web.py"]
PLACES = {
    "package beside the application": HostApp(
        {
            "src/orders/__init__.py": "",
            "src/orders/web.py": WEB,
            "src/orders/infra/__init__.py": "",
        },
        "src/orders/infra",
        "orders.web:api",
        "orders",
        {"PYTHONPATH": "src"},
    ),
    "package named app": HostApp(
        {"pyproject.toml": "", "app/__init__.py": "", "app/main.py": FASTAPI}, "app", "", ""
    ),
    "application in __init__.py": HostApp({"shop/__init__.py": FASTAPI}, "shop", "", ""),
    "flat application below a project": HostApp(
        {"pyproject.toml": "", "tests/x": "", "backend/main.py": FASTAPI}, "backend", "", ""
    ),
    "package below a repository": HostApp(
        {"requirements.txt": "", "backend/app/__init__.py": "", "backend/app/main.py": FASTAPI},
        "backend/app",
        "",
        "",
    ),
    "application below the package": HostApp(
        {"shop/__init__.py": "", "shop/http/__init__.py": "", "shop/http/web.py": WEB},
        "shop",
        "",
        "",
    ),
}


@pytest.mark.parametrize("pattern", ["recovery", "graceful-shutdown"])
@pytest.mark.parametrize("place", PLACES)
def test_copied_test_passes_wherever_the_application_is(
    place: str, pattern: str, tmp_path: Path
) -> None:
    host = PLACES[place]
    host.create(tmp_path)
    follow_output(copy_as_written(pattern, host, tmp_path), tmp_path, host.variables)


def test_missing_application_is_assumed_and_named(tmp_path: Path) -> None:
    write_files(tmp_path, {"shop/__init__.py": "", "shop/routes.py": "def create(:\n"})
    output = make_copy("recovery", tmp_path / "shop").stdout
    assert re.search(
        r"No module in .*/shop creates the application.*assume app in main\.py", output
    )


def test_new_folder_for_tests_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, PACKAGE)
    assert "The folder tests/ is new." in make_copy("recovery", tmp_path / "shop").stdout
    assert "is new." not in make_copy("timeout", tmp_path / "shop").stdout


def test_key_of_the_redis_check_has_the_name_of_the_project(tmp_path: Path) -> None:
    write_files(tmp_path, PACKAGE)
    assert make_copy("check-redis", tmp_path / "shop").returncode == 0
    checks = tmp_path / "shop" / "dependencies" / "redis" / "checks.py"
    assert 'WRITE_KEY, WRITE_KEY_TTL = "shop:health", 60' in checks.read_text("utf-8")
