"""Real servers for every test that needs one; the development data is never touched."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from dev.servers import SERVERS

from .processes import Service


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of servers that work, ready for the service, for the whole run."""
    variables: dict[str, str] = {}
    with ExitStack() as stack:
        for kind in SERVERS:
            server = stack.enter_context(kind(tmp_path_factory.mktemp(kind.name)))
            variables[server.variable] = server.url
            if server.setup:
                command = [sys.executable, "-m", *server.setup]
                subprocess.run(command, env=variables, check=True)
        yield variables


class StartService(Protocol):
    """Starts the service and returns it when its listener is open."""

    def __call__(self, **settings: object) -> Service: ...


@pytest.fixture
def start_service(environment: dict[str, str], tmp_path: Path) -> Iterator[StartService]:
    """Start services that end with the test; keywords are variables, over the environment's."""
    with ExitStack() as stack:

        def start(**settings: object) -> Service:
            log = tmp_path / f"service-{len(stack._exit_callbacks)}.log"  # type: ignore[attr-defined]
            return stack.enter_context(Service(environment, log, **settings))

        yield start


@pytest.fixture
def service(start_service: StartService) -> Service:
    """The service, ready."""
    running = start_service()
    running.until_ready()
    return running
