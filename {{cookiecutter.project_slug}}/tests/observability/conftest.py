"""A collector for the tests that look at traces."""

from collections.abc import Iterator

import pytest

from .collector import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Take what is sent to `collector.url`."""
    with collecting() as running:
        yield running
