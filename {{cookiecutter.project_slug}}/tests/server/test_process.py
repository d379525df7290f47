"""A whole process whose log, lifespan or threads are broken goes on, or ends, as it should."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reference_service.environment import read_section
from reference_service.settings import ServiceSettings

from ..processes import Service, wait_until

LIFESPAN = """
import asyncio, sys, threading
from contextlib import asynccontextmanager
import reference_service.__main__ as program

create_service = program.create_service

@asynccontextmanager
async def lifespan(app):
    threading.Thread(target=threading.Event().wait).start()
    print("started", file=sys.stderr, flush=True)
    {statement}
    yield

def create(settings):
    service = create_service(settings)
    service.api.router.lifespan_context = lifespan
    return service

program.create_service = create
program.exit_process(program.main())
"""


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A named pipe with a reader that reads nothing."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path
    os.close(reader)


def test_log_that_nobody_reads_stops_no_request(environment: dict[str, str], pipe: Path) -> None:
    with Service(environment, pipe) as service:
        for _ in range(1500):  # each writes about 250 bytes; the pipe takes 64 KiB
            assert service.api.get("/faults/tasks").status_code == 200
        assert service.probe("live") == 200
        service.signal(signal.SIGTERM)
        assert service.ends_with() == 0


def test_log_on_a_full_disk_fails_no_request(environment: dict[str, str]) -> None:
    with Service(environment, Path("/dev/full")) as service:
        for _ in range(20):
            response = service.api.get("/faults/tasks", headers={"connection": "keep-alive"})
            assert response.status_code == 200
        service.signal(signal.SIGTERM)
        assert service.ends_with() == 0


def test_handler_that_cancels_its_task_is_answered_with_a_problem(service: Service) -> None:
    response = service.api.get("/faults/cancel")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.text)["request_id"]


def test_pipelined_request_starts_in_a_context_of_its_own(service: Service) -> None:
    request = b"GET /faults/context HTTP/1.1\r\nhost: here\r\n%s\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(request % b"" + request % b"connection: close\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.count(b'"new"') == 2


@pytest.mark.parametrize(
    ("statement", "status"),
    [("await asyncio.Event().wait()", 4), ("raise RuntimeError", 3), ("sys.exit(7)", 3)],
)
def test_lifespan_that_hangs_or_fails_ends_the_process(
    environment: dict[str, str], tmp_path: Path, statement: str, status: int
) -> None:
    variables = {"PATH": os.environ["PATH"], "SERVICE_PORT": "0", "SERVICE_MANAGEMENT_PORT": "0"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", LIFESPAN.format(statement=statement)],
            env={**environment, **variables},
            stdout=output,
            stderr=output,
        )
    with process:
        try:
            wait_until(lambda: "started" in log.read_text())
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == status, log.read_text()
        finally:
            process.kill()


def test_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SERVICE_PORT", "SERVICE_HOST", "SERVICE_CONCURRENCY_LIMIT"):
        monkeypatch.setenv(variable, "")
    settings = read_section(ServiceSettings)
    assert (settings.port, settings.host, settings.concurrency_limit) == (8000, None, "auto")
