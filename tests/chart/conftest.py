"""Fixtures of the chart tests: generated services, and skipping if a program is missing."""

import functools
import os
from collections.abc import Callable
from typing import NoReturn

import pytest
from project import generate_in

from .cases import LONGEST_SLUG, NAMES, SERVICES
from .helm import Chart

Charts = Callable[[str], Chart]


def skip_or_fail(reason: str) -> NoReturn:
    """Skip a test whose program is missing; with `CI=true`, where all must exist, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """Return a function that generates a service of SERVICES and loads its chart.

    The service "long" has every feature and the longest name.
    """

    @functools.cache
    def load(service: str) -> Chart:
        answers = SERVICES["everything" if service == "long" else service]
        names = {**NAMES, "project_slug": LONGEST_SLUG} if service == "long" else NAMES
        folder = tmp_path_factory.mktemp(service)
        return Chart(generate_in(folder, **names, **answers) / "deploy" / "chart")

    return load


@pytest.fixture(params=SERVICES)
def chart(request: pytest.FixtureRequest, charts: Charts) -> Chart:
    """Return the chart of each service in turn."""
    return charts(request.param)
