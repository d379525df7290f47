"""The collector for tests of traces."""

from collections.abc import Iterator

import pytest

from .collector import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Run a collector at `collector.url`."""
    with collecting() as running:
        yield running
