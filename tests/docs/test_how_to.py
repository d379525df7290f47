"""Each how-to page can be followed as written, in a new service with the defaults."""

from pathlib import Path

import pytest
from project import TEMPLATE, fingerprint, generate_in

from tools.generate import environment

from .ports import free_ports
from .walkthrough import Reader, steps

PAGES = sorted(path.name for path in (TEMPLATE / "docs" / "how-to").glob("*.md"))
DOMAIN = ("src/truthful_service/orders/", "tests/orders/")
EDITED_IN_THE_DOMAIN = 3
"""The model, the store, and a new test."""


def follow(page: str, service: Path) -> None:
    variables = environment() | {"WORKERS": "2"}  # another service may run at the same time
    with Reader(service, variables, free_ports()) as reader:
        for step in steps((service / "docs" / "how-to" / page).read_text("utf-8")):
            reader.perform(step)


@pytest.mark.service
@pytest.mark.parametrize("page", [page for page in PAGES if page != "replace-the-example.md"])
def test_each_step_works_as_written(page: str, tmp_path: Path) -> None:
    follow(page, generate_in(tmp_path))


@pytest.mark.service
def test_replacing_the_example_works_and_touches_at_most_12_files(tmp_path: Path) -> None:
    service = generate_in(tmp_path)
    before = fingerprint(service)
    follow("replace-the-example.md", service)
    after = fingerprint(service)
    touched = {
        path
        for path, (_, content) in after.items()
        if content and before.get(path, (0, ""))[1] != content
        if not path.startswith((*DOMAIN, "."))
        if "__pycache__" not in path
        if path != "uv.lock"
    }
    assert len(touched) + EDITED_IN_THE_DOMAIN <= 12, sorted(touched)
