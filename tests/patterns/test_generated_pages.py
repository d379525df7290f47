"""The pages of a generated service name only files that the service has."""

import pytest
from project import Generate

from .pages import copied_paths


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
