"""Real servers for every test that needs one. The development data is never touched."""

import functools
import itertools
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from dev.servers import SERVERS

from .processes import Service

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

SETUP_TIMEOUT = 60.0
"""Seconds that the setup of a new server can take."""

STARTS_PROCESSES = re.compile(
    r"^(?:from|import) (?:dev|subprocess|\.+(?:conftest|processes))\b", re.MULTILINE
)
"""The imports by which a test file starts servers or other programs."""


@functools.cache
def starts_processes(path: Path) -> bool:
    return STARTS_PROCESSES.search(path.read_text("utf-8")) is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that `make check` leaves out."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "environment" in fixtures or starts_processes(item.path):
            item.add_marker("processes")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the environment variables of working servers, which last for the whole run."""
    variables: dict[str, str] = {}
    with ExitStack() as stack:
        for kind in SERVERS:
            server = stack.enter_context(kind(tmp_path_factory.mktemp(kind.name)))
            variables[server.variable] = server.url
            if server.setup:
                command = [sys.executable, "-m", *server.setup]
                subprocess.run(command, env=variables, check=True, timeout=SETUP_TIMEOUT)
        yield variables


class StartService(Protocol):
    """Start the service and return it when its listener is open."""

    def __call__(self, **settings: object) -> Service: ...


@pytest.fixture
def start_service(environment: dict[str, str], tmp_path: Path) -> Iterator[StartService]:
    """Start services that end with the test; keywords override the environment's variables."""
    with ExitStack() as stack:
        logs = (tmp_path / f"service-{number}.log" for number in itertools.count())

        def start(**settings: object) -> Service:
            return stack.enter_context(Service(environment, next(logs), **settings))

        yield start


@pytest.fixture
def service(start_service: StartService) -> Service:
    """Start the service and return it when it is ready."""
    running = start_service()
    running.until_ready()
    return running
