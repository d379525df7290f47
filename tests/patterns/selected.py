"""Do something for each pattern whose test is selected, four at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest


def for_each_selected(
    request: pytest.FixtureRequest,
    test: Callable[..., None],
    work: Callable[[str, Path], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[None]]]:
    """Yield the work for each `name` that a test is selected with, in a folder of its own."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    names = [str(item.callspec.params["name"]) for item in items if item.function is test]
    with ThreadPoolExecutor(4) as pool:
        yield {name: pool.submit(work, name, tmp_path_factory.mktemp(name)) for name in names}
