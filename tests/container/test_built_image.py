"""Builds the Dockerfile of a default service with buildah, and runs the image on real servers."""

import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dev.ports import free_port
from dev.process import Process, wait_until
from generated import probe_status
from project import generate_in

from tools.generate import ROOT, environment

from .base_image import BaseImageError, locked
from .buildah import Buildah
from .conftest import STORAGE, require
from .container import Container
from .private_index import PrivateIndex
from .servers import Servers, running_servers

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]

IMAGE = "localhost/orders"
ARGUMENTS = {
    "DESCRIPTION": "Sells things.",
    "VERSION": "1.2.3",
    "REVISION": "abc",
    "SOURCE": "https://git.example/orders",
}
CERTIFICATES = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
HEALTHCHECK = ("python", "-m", "orders_api.healthcheck")
# Prints the modules that are imported at startup and have no bytecode.
UNCOMPILED = """
import pathlib, sys
import orders_api.__main__, orders_api.healthcheck
cached = {getattr(module, "__cached__", None) for module in sys.modules.values()}
print(*(path for path in cached if path and not pathlib.Path(path).exists()))
"""
MAX_APPLICATION_BYTES = 115e6
TIMEOUT = 60.0
UV = os.environ.get("UV") or shutil.which("uv") or ROOT / ".build/.uv/bin/uv"


@pytest.fixture(scope="module")
def buildah(base_files: Path) -> Iterator[Buildah]:
    """Return a buildah that has the base image."""
    require("buildah")
    builder = Buildah(STORAGE)
    with locked(STORAGE):
        try:
            try:
                builder.clean()
                builder.import_base(base_files)
            except subprocess.CalledProcessError:
                builder.reset()
                builder.import_base(base_files)
        except BaseImageError as error:
            pytest.skip(str(error))
        yield builder
        builder.clean()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate a default service and lock its packages."""
    made = generate_in(
        tmp_path_factory.mktemp("built"), project_name="Orders", package_name="orders_api"
    )
    variables = {k: v for k, v in environment().items() if not k.startswith("PYTHON")}
    if index := os.environ.get("PIP_INDEX_URL"):
        variables.setdefault("UV_DEFAULT_INDEX", index)
    subprocess.run([UV, "lock", "--quiet"], cwd=made, env=variables, check=True)
    return made


@pytest.fixture(scope="module")
def container(buildah: Buildah, service: Path) -> Container:
    """Build the image as the documents describe it, and return a container of it."""
    index = os.environ.get("PIP_INDEX_URL")
    arguments = ARGUMENTS | ({"PIP_INDEX_URL": index} if index else {})
    secrets = {"ca": Path(CERTIFICATES), "netrc": Path.home() / ".netrc"}
    options = [f"--secret=id={name},src={file}" for name, file in secrets.items() if file.exists()]
    buildah.build(service, IMAGE, arguments, *options)
    return Container(buildah.files(IMAGE), buildah.settings(IMAGE))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, container: Container) -> Iterator[Servers]:
    """Run the servers, with the schema that the image brings."""
    with running_servers(tmp_path_factory.mktemp("servers")) as running:
        status, output = container.run(["alembic", "upgrade", "head"], **running.variables)
        assert status == 0, output
        yield running


class Running:
    """A running container of the image."""

    def __init__(self, container: Container, process: Process, port: int, log: Path) -> None:
        self.container, self.process, self.port, self.log = container, process, port, log

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds. Fails with the log if the service ends."""
        wait_until(lambda: self.process.status is not None or condition(), TIMEOUT)
        assert self.process.status is None, self.log.read_text()

    def wait_for_status(self, probe: str, status: str | None) -> None:
        """Wait until a probe responds with 200 and a status, or None: not with 200."""
        self.wait_for(lambda: probe_status(str(self.port), probe) == status)

    def wait_for_check(self, probe: str, status: int) -> None:
        """Wait until the health check for a probe ends with an exit status."""
        self.wait_for(lambda: self.container.check_health(self.port, probe)[0] == status)


@contextmanager
def running(
    container: Container, servers: Servers, log: Path, **settings: str
) -> Iterator[Running]:
    """Run the command of the image until it is ready."""
    port = free_port()
    ports = {"SERVICE_PORT": str(port), "SERVICE_MANAGEMENT_PORT": str(free_port())}
    variables = {**ports, **servers.variables, **settings}
    with (
        log.open("wb") as output,
        container.start(container.command, output, **variables) as process,
    ):
        service = Running(container, process, port, log)
        service.wait_for_status("ready", "pass")
        yield service


@pytest.fixture
def orders(container: Container, servers: Servers, tmp_path: Path) -> Iterator[Running]:
    """Run the image without a delay at its end."""
    with running(container, servers, tmp_path / "log", SERVICE_DRAIN_DELAY="0") as service:
        yield service


def test_settings_of_the_image(buildah: Buildah, container: Container) -> None:
    settings = buildah.settings(IMAGE)
    assert settings["User"] == "10001:10001"
    assert settings["StopSignal"] == "SIGTERM"
    assert settings["WorkingDir"] == "/app"
    assert set(settings["ExposedPorts"]) == {"8000/tcp", "9000/tcp"}
    assert container.command == ["python", "-m", "orders_api"]
    assert settings["Healthcheck"]["Test"][1:] == [*HEALTHCHECK, "live"]
    assert not settings["Volumes"]
    names = {"title": "orders", **{name.lower(): value for name, value in ARGUMENTS.items()}}
    for name, value in names.items():
        assert settings["Labels"][f"org.opencontainers.image.{name}"] == value
    assert not [line for line in settings["Env"] if "CERT" in line or "INDEX" in line]


def test_image_has_only_required_files(container: Container) -> None:
    _, output = container.run(["ls", "-A", "/app"])
    assert output.split() == [".venv", "migrations", "pyproject.toml", "src"]
    code = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    _, output = container.run(["python", "-c", code])
    packages = set(output.split())
    assert {"asyncpg", "fastapi", "orders"} <= packages
    assert not packages & {"mypy", "pip", "pytest", "ruff", "uv"}


def test_application_takes_little_space(container: Container) -> None:
    """docs/container.md says what takes it."""
    sizes: Counter[str] = Counter()
    for file in container.root.glob("app/**/*"):
        if file.is_file() and not file.is_symlink():
            package = file.relative_to(container.root).parts[:6][-1]
            sizes[package] += file.stat().st_size
    assert sizes.total() < MAX_APPLICATION_BYTES, sizes.most_common(10)


def test_image_runs_without_privileges_and_writes_nothing(
    container: Container, orders: Running
) -> None:
    status = Path(f"/proc/{orders.process.pids[0]}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert fields["Uid"].split() == fields["Gid"].split() == ["10001"] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
    code, output = container.run(["touch", "/app/file"])
    assert code != 0
    assert "Read-only file system" in output


def test_build_uses_an_index_whose_authority_is_a_secret(
    buildah: Buildah, service: Path, private_index: PrivateIndex
) -> None:
    """The index is empty, so the build fails after its first request."""
    secret = f"--secret=id=ca,src={private_index.authority}"
    with pytest.raises(subprocess.CalledProcessError):
        buildah.build(service, IMAGE, {"PIP_INDEX_URL": private_index.url}, secret)
    assert private_index.requests == ["/simple/uv/"]


def test_image_runs_the_python_of_its_tag(container: Container, service: Path) -> None:
    [base] = [x for x in (service / "Dockerfile").read_text().splitlines() if x.endswith("AS base")]
    _, output = container.run(["python", "--version"])
    assert output.startswith(f"Python {base.removeprefix('FROM python:').partition('-')[0]}.")


def test_all_modules_have_bytecode(container: Container) -> None:
    assert container.run(["python", "-c", UNCOMPILED]) == (0, "\n")


def test_migrations_run_from_the_image(container: Container, servers: Servers) -> None:
    status, output = container.run(["alembic", "current"], **servers.variables)
    assert status == 0, output
    assert "(head)" in output


def test_frozen_database_fails_ready_but_not_live(servers: Servers, orders: Running) -> None:
    orders.wait_for_check("ready", 0)
    servers.pause("postgres")
    try:
        orders.wait_for_status("ready", None)
        orders.wait_for_status("live", "pass")
        orders.wait_for_check("ready", 1)
        orders.wait_for_check("live", 0)
    finally:
        servers.resume("postgres")
    orders.wait_for_status("ready", "pass")


def test_frozen_cache_warns(servers: Servers, orders: Running) -> None:
    servers.pause("valkey")
    try:
        orders.wait_for_status("ready", "warn")
        orders.wait_for_check("ready", 0)
    finally:
        servers.resume("valkey")
    orders.wait_for_status("ready", "pass")


def test_stop_signal_drains_the_service(
    buildah: Buildah, container: Container, servers: Servers, tmp_path: Path
) -> None:
    with running(container, servers, tmp_path / "log", SERVICE_DRAIN_DELAY="10") as service:
        stop = getattr(signal, buildah.settings(IMAGE)["StopSignal"])
        os.kill(service.process.pids[0], stop)
        service.wait_for_status("ready", None)
        service.wait_for_status("live", "pass")
        wait_until(lambda: service.process.status is not None, TIMEOUT)
        assert service.process.status == 0, service.log.read_text()
    status, output = container.check_health(service.port)
    assert (status, output) == (1, "no response: [Errno 111] Connection refused\n")
