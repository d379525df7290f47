"""Generates the services whose charts are tested, once for all tests of a file."""

import functools
from collections.abc import Callable

import pytest
from project import generate_in

from .cases import NAMES, SERVICES
from .helm import Chart

Charts = Callable[[str], Chart]


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """Return a function that generates a service of SERVICES, and loads its chart."""

    @functools.cache
    def made(service: str) -> Chart:
        folder = tmp_path_factory.mktemp(service)
        return Chart(generate_in(folder, **NAMES, **SERVICES[service]) / "deploy" / "chart")

    return made


@pytest.fixture(params=SERVICES)
def chart(request: pytest.FixtureRequest, charts: Charts) -> Chart:
    """Return the chart of each service, one after the other."""
    return charts(request.param)
