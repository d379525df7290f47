"""The pages of a generated service tell of its own files, and of none that were declined."""

import pytest
from project import Generate

from .recipe import copied


@pytest.mark.parametrize("wanted", [True, False])
def test_every_file_that_a_page_copies_is_there(generate: Generate, wanted: bool) -> None:  # noqa: FBT001
    features = dict.fromkeys(("postgres", "redis", "observability"), wanted)
    made = generate(package_name="orders_api", patterns=True, **features)
    pages = {path.stem: path.read_text("utf-8") for path in made.glob("docs/patterns/*.md")}
    assert {"README", "health-engine", "graceful-shutdown"} <= pages.keys()
    assert ("metrics" in pages) == wanted
    for name, page in pages.items():
        missing = [path for path in copied(page) if not list(made.glob(path))]
        assert missing == [], name
