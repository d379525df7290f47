"""A generated service has only the pages of its own files, and copies them with `make copy`."""

import subprocess
from pathlib import Path

import pytest
from project import Generate

from .copying import HOSTS, follow_output, make_copy
from .pages import copied_paths, reader_environment


@pytest.mark.parametrize("selected", [True, False])
def test_every_file_that_a_page_copies_exists(generate: Generate, selected: bool) -> None:  # noqa: FBT001
    features = dict.fromkeys(("postgres", "redis", "observability"), selected)
    project = generate(package_name="orders_api", patterns=True, **features)
    pages = {path.stem: path.read_text("utf-8") for path in project.glob("docs/patterns/*.md")}
    assert {"README", "health-engine", "graceful-shutdown"} <= pages.keys()
    assert ("metrics" in pages) == selected
    for name, page in pages.items():
        missing = [path for path in copied_paths(page) if not list(project.glob(path))]
        assert missing == [], name


@pytest.mark.parametrize("selected", [True, False])
def test_make_copy_lists_the_pages_of_the_service(generate: Generate, selected: bool) -> None:  # noqa: FBT001
    features = dict.fromkeys(("postgres", "redis", "observability"), selected)
    project = generate(patterns=True, **features)
    listed, _, usage = make(project).partition("\n\n")
    pages = {path.stem for path in project.glob("docs/patterns/*.md")} - {"README"}
    assert {line.split()[0] for line in listed.splitlines()} == pages
    assert "make copy PATTERN=" in usage


def test_pattern_can_be_copied_from_a_generated_service(generate: Generate, tmp_path: Path) -> None:
    service = generate(patterns=True, package_name="orders_api")
    shop = tmp_path / "a shop"
    host = HOSTS["starlette"]
    host.create(shop)
    output = make(service, "PATTERN=metrics", f"INTO=../../{shop.name}/{host.into}", "DRY=1")
    assert "Would copy into" in output
    output = make(service, "PATTERN=recovery", f"INTO=../../{shop.name}/{host.into}", "DRY=0")
    follow_output(output, shop, host.variables)
    copied = (shop / host.into / "resilience" / "recovery.py").read_text("utf-8")
    assert copied.startswith("# From Candid 0.1.0, resilience/recovery.py. MIT license")
    refused = make_copy("recovery", service / "src" / "orders_api", folder=service)
    assert "is inside the service that the patterns come from" in refused.stderr


def test_service_without_the_pages_has_no_make_copy(generate: Generate) -> None:
    service = generate()
    assert "\ncopy:" not in (service / "Makefile").read_text("utf-8")
    assert not (service / "dev" / "copy").exists()


def make(service: Path, *variables: str) -> str:
    """Run `make copy` in a service, and return its output."""
    ended = subprocess.run(
        ["make", "--no-print-directory", "-C", str(service), "copy", *variables],
        env=reader_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
