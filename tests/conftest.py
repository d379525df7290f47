"""What the template's tests share: a way to generate a project, and who works on what."""

from functools import partial
from pathlib import Path

import pytest
from project import Generate, generate_in


@pytest.fixture
def generate(tmp_path: Path) -> Generate:
    """Generate a project in out/ from the answers given, and the defaults for the rest."""
    return partial(generate_in, tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares a fixture: a file's tests, or those of one generated service.

    Those take longest, so they come first.
    """
    for item in items:
        service = item.callspec.params.get("service") if hasattr(item, "callspec") else None
        item.add_marker(pytest.mark.xdist_group(f"{item.path.name} {service or ''}"))
    items.sort(key=lambda item: "service" not in item.keywords)
