"""The image workflow fails if a probe fails or if the service exits with an error."""

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from project import TEMPLATE

from pipeline.repository import commands, shell


class Probes(http.server.ThreadingHTTPServer):
    """A server that responds with 200 to all probes except the failing one."""

    def __init__(self, failing: str) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.failing = failing
        self.requested: list[str] = []


class Answer(http.server.BaseHTTPRequestHandler):
    """One request to a probe."""

    server: Probes

    def do_GET(self) -> None:
        self.server.requested.append(self.path)
        self.send_response(503 if self.path.endswith(self.server.failing) else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def probes(request: pytest.FixtureRequest) -> Iterator[Probes]:
    """Serve the probes. The test names the failing one."""
    with Probes(request.param) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("probes", ["none", "startup", "ready", "live"], indirect=True)
def test_step_fails_if_any_probe_fails(probes: Probes, tmp_path: Path) -> None:
    (command,) = commands(TEMPLATE, "image.yml", "^curl")
    ended = shell(command.replace(":8000", f":{probes.server_port}"), tmp_path)
    assert (ended.returncode == 0) == (probes.failing == "none"), ended.stdout
    if probes.failing == "none":
        assert probes.requested == ["/health/startup", "/health/ready", "/health/live"]


@pytest.mark.parametrize(("status", "passes"), [("0", True), ("137", False), ("", False)])
def test_step_fails_unless_the_service_exited_with_0(
    status: str, *, passes: bool, tmp_path: Path
) -> None:
    """A script replaces Docker and prints its output."""
    (command,) = commands(TEMPLATE, "image.yml", "^test .*docker inspect")
    script = tmp_path / "bin" / "docker"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\ncase "$1" in compose) echo 8c5f;; inspect) echo {status};; esac\n'
    )
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    assert (shell(command, tmp_path, PATH=path).returncode == 0) == passes


def test_workflow_uses_the_service_of_compose_yaml() -> None:
    composed = yaml.safe_load((TEMPLATE / "compose.yaml").read_text("utf-8"))["services"]
    started = commands(TEMPLATE, "image.yml", "^docker compose (build|up|exec|stop) ")
    assert [name for name in composed if all(name in each.split() for each in started)] == [
        "service"
    ]
    assert composed["service"]["read_only"] is True
    assert any(each.endswith("8000}:8000") for each in composed["service"]["ports"])
