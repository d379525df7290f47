"""What the template's tests share: a way to generate a project, and who works on what."""

from functools import partial
from pathlib import Path

import pytest
from project import Generate, generate_in
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling


@pytest.fixture
def generate(tmp_path: Path) -> Generate:
    """Generate a project in out/ from the answers given, and the defaults for the rest."""
    return partial(generate_in, tmp_path)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make test-all` ask for all."""
    parser.addoption("--all", action="store_true", help="also try each two features together")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what sets up a service come first: it takes longest."""
    items.sort(key=lambda item: "service" not in item.keywords)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps together what shares a fixture: a file's tests, or those of one generated service.

    So would `--dist loadgroup`, but pytest-xdist 3.8 marks groups where pytest 9.2 does not look.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return file + test.partition("[")[2] if file.endswith("test_services.py") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Have the tests shared out by it."""
    return Scheduling(config, log)
