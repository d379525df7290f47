"""Every step of the Dockerfile is done, in folders; then what came of it is run as an image is."""

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
from project import TEMPLATE, generate_in

from hooks.post_gen_project import FEATURES
from tools.generate import ROOT, environment, set_up

from .dockerfile import Build, instructions

pytestmark = pytest.mark.service

PATIENCE = 60.0
UV = os.environ.get("UV") or shutil.which("uv") or ROOT / ".build/.uv/bin/uv"


class Image:
    """What the Dockerfile of a service made; nothing may write where it lies."""

    def __init__(self, folder: Path) -> None:
        names = {"project_name": "Orders", "package_name": "orders_api"}
        self.source = generate_in(folder, **names, **dict.fromkeys(FEATURES, True))
        index = os.environ.get("PIP_INDEX_URL")
        arguments = {"PIP_INDEX_URL": index} if index else {}
        ours = {k: v for k, v in environment().items() if not k.startswith("PYTHON")}
        ours |= {"UV_DEFAULT_INDEX": index} if index else {}
        subprocess.run([UV, "lock", "--quiet"], cwd=self.source, env=ours, check=True)
        self.build = Build(self.source, folder, ours, **arguments)
        self.build.make()
        self.files = self.build.folder
        subprocess.run(["chmod", "-R", "a-w", self.files], check=True)
        _, _, self.healthcheck = self.build.settings["HEALTHCHECK"].partition("CMD ")

    def start(self, command: list[str], **variables: str) -> subprocess.Popen[str]:
        """Run a command as a container does: with the image's environment and no rights."""
        return subprocess.Popen(
            [*without_rights(), *command],
            cwd=self.files,
            env={**self.build.variables, "HOME": "/", **variables, "PATH": self.build.path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: list[str], **variables: str) -> tuple[int, str]:
        """Run it to its end, and return its exit status and what it said."""
        process = self.start(command, **variables)
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said

    def remove(self) -> None:
        """Let it be deleted."""
        subprocess.run(["chmod", "-R", "u+w", self.files], check=True)


def without_rights() -> list[str]:
    """Prefix a command so that it is the image's user, and may not write even where root may.

    Where the system does not let us, it stays who we are.
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
        assert time.monotonic() - started < PATIENCE
        time.sleep(0.1)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Make an image of a service with every feature."""
    made = Image(tmp_path_factory.mktemp("image"))
    yield made
    made.remove()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a PostgreSQL, in the environment of the reference service."""
    set_up(TEMPLATE)
    server = subprocess.Popen(
        [
            ROOT / ".build/venv/bin/python",
            Path(__file__).with_name("database.py"),
            tmp_path_factory.mktemp("postgres"),
        ],
        env=environment()
        | {"PYTHONPATH": str(TEMPLATE), "PYTHONPYCACHEPREFIX": str(ROOT / ".build/pycache")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout
    yield server.stdout.readline().strip()
    server.communicate(timeout=PATIENCE)


def free_ports() -> tuple[str, str]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as two:
        return str(one.getsockname()[1]), str(two.getsockname()[1])


def test_every_step_was_done_and_nothing_is_in_it_but_what_runs(image: Image) -> None:
    said = instructions(image.source / "Dockerfile")
    assert len(image.build.ran) == sum(word == "RUN" for word, _ in said) > 0
    assert sorted(path.name for path in image.files.iterdir()) == [
        ".venv",
        "migrations",
        "pyproject.toml",
        "src",
    ]


def packages(image: Image) -> set[str]:
    code = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    _, said = image.run(["python", "-c", code])
    return {re.sub("[-_.]+", "-", name).lower() for name in said.split()}


def test_it_has_no_package_that_only_development_needs(image: Image) -> None:
    exporting = [
        "export",
        "--no-dev",
        "--frozen",
        "--no-hashes",
        "--no-emit-project",
        "--no-header",
    ]
    exported = subprocess.run(
        [UV, *exporting],
        cwd=image.source,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    needed = set(re.findall(r"^([a-z0-9-]+)==", exported.stdout, re.MULTILINE))
    assert "fastapi" in needed
    assert "pytest" not in needed
    assert {"fastapi", "orders"} <= packages(image) <= {"orders", *needed}


# Prints the modules that the start imports and that have no bytecode.
UNCOMPILED = """
import pathlib, sys
import orders_api.__main__, orders_api.health.__main__
cached = {getattr(module, "__cached__", None) for module in sys.modules.values()}
print(*(path for path in cached if path and not pathlib.Path(path).exists()))
"""


def test_nothing_has_to_be_compiled_at_the_start(image: Image) -> None:
    assert image.run(["python", "-c", UNCOMPILED]) == (0, "\n")


def test_it_migrates_serves_and_is_healthy_until_it_is_frozen_or_gone(
    image: Image, database: str
) -> None:
    nobody = "127.0.0.1:1"
    port, management = free_ports()
    settings = {
        "DATABASE_URL": database,
        "REDIS_SENTINELS": nobody,
        "KAFKA_BOOTSTRAP_SERVERS": nobody,
        "GRPC_TARGETS": f"downstream={nobody}",
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
    status, said = image.run(postgres["services"]["migrate"]["command"], DATABASE_URL=database)
    assert status == 0, said
    status, said = image.run(["alembic", "current"], DATABASE_URL=database)
    assert "(head)" in said

    service = image.start(json.loads(image.build.settings["CMD"]), **settings)
    try:
        wait_until(lambda: service.poll() is not None or health(live) == 0)
        assert service.poll() is None, service.communicate()[0]
        assert health(ready) == 1  # most of what it needs is not there
        service.send_signal(signal.SIGSTOP)
        assert health(live) == 1
        service.send_signal(signal.SIGCONT)
        wait_until(lambda: health(live) == 0)
    finally:
        service.send_signal(signal.SIGCONT)
        service.send_signal(getattr(signal, image.build.settings["STOPSIGNAL"]))
        log, _ = service.communicate(timeout=PATIENCE)
    assert service.returncode == 0, log
    assert health(live) == 1
    assert json.loads(log.splitlines()[0])["level"] == "info"  # in production logs are JSON
    assert sorted(image.files.rglob("*")) == files


def test_compose_waits_for_the_drain_and_the_shutdown_before_it_kills(image: Image) -> None:
    _, said = image.run(["python", "-m", "orders_api", "--help"])
    seconds = [
        float(re.findall(rf"{name} .*\[([\d.]+)\]", said)[0])
        for name in ("SERVICE_DRAIN_DELAY", "SERVICE_SHUTDOWN_TIMEOUT")
    ]
    composed = yaml.safe_load((image.source / "compose.yaml").read_text("utf-8"))
    assert composed["services"]["service"]["stop_grace_period"] == f"{sum(seconds) + 10:g}s"
