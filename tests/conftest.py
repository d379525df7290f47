"""Fixtures of the template's tests, and how xdist distributes the tests."""

import signal
from functools import partial
from pathlib import Path

import pytest
from project import Generate, generate_in
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it


@pytest.fixture
def generate(tmp_path: Path) -> Generate:
    """Return a function that generates a project in out/: given answers, else defaults."""
    return partial(generate_in, tmp_path)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `make test-all`."""
    parser.addoption("--all", action="store_true", help="also test each pair of features")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that set up a service first: they take longest."""
    items.sort(key=lambda item: "service" not in item.keywords)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Give the tests of one file, or of one generated service, to the same worker.

    They share a fixture. `--dist loadgroup` does not work: pytest-xdist 3.8 marks groups where
    pytest 9.2 does not look.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return (
            file + test.partition("[")[2] if file.endswith("test_generated_projects.py") else file
        )


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Use this scheduling."""
    return Scheduling(config, log)
