"""What the tests of the chart share: generated services, and what to do without a program."""

import functools
import os
from collections.abc import Callable
from typing import NoReturn

import pytest
from project import generate_in

from .cases import LONG, NAMES, SERVICES
from .helm import Chart

Charts = Callable[[str], Chart]


def lacking(reason: str) -> NoReturn:
    """Skip a test that lacks a program, and fail it under `CI=true`: there nothing goes untold."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """Return a function that generates a service of SERVICES, and loads its chart.

    The one called "long" has every feature and the longest name.
    """

    @functools.cache
    def made(service: str) -> Chart:
        answers = SERVICES["everything" if service == "long" else service]
        names = {**NAMES, "project_slug": LONG} if service == "long" else NAMES
        folder = tmp_path_factory.mktemp(service)
        return Chart(generate_in(folder, **names, **answers) / "deploy" / "chart")

    return made


@pytest.fixture(params=SERVICES)
def chart(request: pytest.FixtureRequest, charts: Charts) -> Chart:
    """Return the chart of each service, one after the other."""
    return charts(request.param)
