"""Builds the Dockerfile in folders, and runs the result as a container would."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from project import generate_in

from hooks.post_gen_project import FEATURES
from tools.generate import ROOT, environment

from .dockerfile import Build, instructions
from .servers import running_servers

pytestmark = pytest.mark.service

TIMEOUT = 60.0
UV = os.environ.get("UV") or shutil.which("uv") or ROOT / ".build/.uv/bin/uv"


class Image:
    """The built image of a service. Its files are read-only."""

    def __init__(self, folder: Path) -> None:
        names = {"project_name": "Orders", "package_name": "orders_api"}
        self.source = generate_in(folder, **names, **dict.fromkeys(FEATURES, True))
        index = os.environ.get("PIP_INDEX_URL")
        arguments = {"PIP_INDEX_URL": index} if index else {}
        variables = {k: v for k, v in environment().items() if not k.startswith("PYTHON")}
        variables |= {"UV_DEFAULT_INDEX": index} if index else {}
        subprocess.run([UV, "lock", "--quiet"], cwd=self.source, env=variables, check=True)
        self.build = Build(self.source, folder, variables, **arguments)
        self.build.build()
        self.files = self.build.folder
        subprocess.run(["chmod", "-R", "a-w", self.files], check=True)
        _, _, self.healthcheck = self.build.settings["HEALTHCHECK"].partition("CMD ")

    def start(self, command: list[str], **variables: str) -> subprocess.Popen[str]:
        """Run a command as a container does: with the image's variables, without privileges."""
        return subprocess.Popen(
            [*without_privileges(), *command],
            cwd=self.files,
            env={**self.build.variables, "HOME": "/", **variables, "PATH": self.build.path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: list[str], **variables: str) -> tuple[int, str]:
        """Run a command until it ends; return its exit status and its output."""
        process = self.start(command, **variables)
        output, _ = process.communicate(timeout=TIMEOUT)
        return process.returncode, output

    def make_writable(self) -> None:
        """Allow its deletion."""
        subprocess.run(["chmod", "-R", "u+w", self.files], check=True)


def without_privileges() -> list[str]:
    """Return a command prefix for the image's user, who cannot write even if the tests run as root.

    If the system does not allow user namespaces, the prefix is empty.
    """
    prefix = ["unshare", "--user", "--map-user=10001", "--map-group=10001", "--"]
    try:
        subprocess.run([*prefix, "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return prefix


def wait_until(condition: Callable[[], object]) -> None:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < TIMEOUT
        time.sleep(0.1)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Build the image of a service with every feature."""
    built = Image(tmp_path_factory.mktemp("image"))
    yield built
    built.make_writable()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a PostgreSQL."""
    with running_servers(tmp_path_factory.mktemp("servers")) as servers:
        yield servers.variables["DATABASE_URL"]


def free_ports() -> tuple[str, str]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as two:
        return str(one.getsockname()[1]), str(two.getsockname()[1])


def test_image_has_all_steps_and_only_required_files(image: Image) -> None:
    steps = instructions(image.source / "Dockerfile")
    assert len(image.build.commands) == sum(word == "RUN" for word, _ in steps) > 0
    assert sorted(path.name for path in image.files.iterdir()) == [
        ".venv",
        "migrations",
        "pyproject.toml",
        "src",
    ]


def packages(image: Image) -> set[str]:
    code = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    _, output = image.run(["python", "-c", code])
    return {re.sub("[-_.]+", "-", name).lower() for name in output.split()}


def test_image_has_no_development_packages(image: Image) -> None:
    arguments = [
        "export",
        "--no-dev",
        "--frozen",
        "--no-hashes",
        "--no-emit-project",
        "--no-header",
    ]
    exported = subprocess.run(
        [UV, *arguments],
        cwd=image.source,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    required = set(re.findall(r"^([a-z0-9-]+)==", exported.stdout, re.MULTILINE))
    assert "fastapi" in required
    assert "pytest" not in required
    assert {"fastapi", "orders"} <= packages(image) <= {"orders", *required}


# Prints the modules that are imported at startup and have no bytecode.
UNCOMPILED = """
import pathlib, sys
import orders_api.__main__, orders_api.healthcheck
cached = {getattr(module, "__cached__", None) for module in sys.modules.values()}
print(*(path for path in cached if path and not pathlib.Path(path).exists()))
"""


def test_all_modules_have_bytecode(image: Image) -> None:
    assert image.run(["python", "-c", UNCOMPILED]) == (0, "\n")


def test_image_migrates_serves_and_reports_health(image: Image, database: str) -> None:
    unreachable = "127.0.0.1:1"
    port, management = free_ports()
    settings = {
        "DATABASE_URL": database,
        "REDIS_SENTINELS": unreachable,
        "KAFKA_BOOTSTRAP_SERVERS": unreachable,
        "GRPC_TARGETS": f"downstream={unreachable}",
        "SERVICE_PORT": port,
        "SERVICE_MANAGEMENT_PORT": management,
        "SERVICE_DRAIN_DELAY": "0",
        "SERVICE_SHUTDOWN_TIMEOUT": "5",
    }
    files = sorted(image.files.rglob("*"))

    def health(probe: list[str]) -> int:
        return image.run(probe, SERVICE_PORT=port)[0]

    live = json.loads(image.healthcheck)
    composed = yaml.safe_load((image.source / "compose.yaml").read_text("utf-8"))
    ready = composed["services"]["service"]["healthcheck"]["test"][1:]
    postgres = yaml.safe_load((image.source / "deploy/compose/postgres.yaml").read_text("utf-8"))

    assert health(live) == 1
    status, output = image.run(postgres["services"]["migrate"]["command"], DATABASE_URL=database)
    assert status == 0, output
    status, output = image.run(["alembic", "current"], DATABASE_URL=database)
    assert "(head)" in output

    service = image.start(json.loads(image.build.settings["CMD"]), **settings)
    try:
        wait_until(lambda: service.poll() is not None or health(live) == 0)
        assert service.poll() is None, service.communicate()[0]
        wait_until(lambda: health(ready) == 0)  # it can do without those that are unreachable
        service.send_signal(signal.SIGSTOP)
        assert health(live) == 1
        service.send_signal(signal.SIGCONT)
        wait_until(lambda: health(live) == 0)
    finally:
        service.send_signal(signal.SIGCONT)
        service.send_signal(getattr(signal, image.build.settings["STOPSIGNAL"]))
        log, _ = service.communicate(timeout=TIMEOUT)
    assert service.returncode == 0, log
    assert health(live) == 1
    assert json.loads(log.splitlines()[0])["level"] == "info"  # in production logs are JSON
    assert sorted(image.files.rglob("*")) == files


def test_compose_grace_period_covers_drain_and_shutdown(image: Image) -> None:
    _, output = image.run(["python", "-m", "orders_api", "--help"])
    seconds = [
        float(re.findall(rf"{name} .*\[([\d.]+)\]", output)[0])
        for name in ("SERVICE_DRAIN_DELAY", "SERVICE_SHUTDOWN_TIMEOUT")
    ]
    composed = yaml.safe_load((image.source / "compose.yaml").read_text("utf-8"))
    assert composed["services"]["service"]["stop_grace_period"] == f"{sum(seconds) + 10:g}s"
