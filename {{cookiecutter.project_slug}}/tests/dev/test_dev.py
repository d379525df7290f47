"""`python -m dev` in a copy of the project: its output on a terminal, and what it leaves behind."""

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

import httpx
import pytest

from dev.lock import try_lock
from dev.ports import free_port
from dev.server import Server
from dev.servers import SERVERS

from ..processes import wait_until

PROJECT = Path(__file__).parents[2]
UP = "The service is up, "


class Dev:
    """One run of `python -m dev` on a terminal."""

    def __init__(self, project: Path, **variables: object) -> None:
        self.project = project
        self.port, management = free_port(), free_port()
        self.log = project / f"{self.port}.log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(project / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SERVICE_PORT": str(self.port),
            "SERVICE_MANAGEMENT_PORT": str(management),
            **{name: str(value) for name, value in variables.items()},
        }
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    def __enter__(self) -> Self:
        near, far = pty.openpty()
        self.terminal = os.fdopen(near, "rb", buffering=0)
        with self.log.open("wb") as output, os.fdopen(far) as input_:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dev"],
                cwd=self.project,
                env=self.environment,
                stdin=input_,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()
        self.process.terminate()
        self.process.wait(30)
        self.terminal.close()

    def prints(self, text: str) -> None:
        """Wait until the text is in its output."""
        ended = self.process.poll
        wait_until(lambda: text in self.log.read_text() or ended() is not None, within=90)
        assert text in self.log.read_text()

    def ctrl_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def ends_with(self, within: float = 30.0) -> int:
        return self.process.wait(within)


def run(project: Path, *command: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run `python -m dev` to its end, whatever else runs."""
    dev = Dev(project, **variables)
    dev.api.close()
    return subprocess.run(
        [sys.executable, "-m", "dev", *command],
        cwd=project,
        env=dev.environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def is_running(project: Path, kind: type[Server]) -> bool:
    """Whether a process of the embedded server runs: each holds the lock on its log."""
    with (project / ".data" / kind.name / f"{kind.name}.log").open("ab") as log:
        return not try_lock(log)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    excluded = shutil.ignore_patterns("__pycache__", ".*", "tests")
    return Path(shutil.copytree(PROJECT, tmp_path / "project", ignore=excluded))


def test_it_serves_on_its_own_servers_until_ctrl_c(project: Path) -> None:
    with Dev(project) as dev:
        dev.prints(UP)

        for address in re.findall(r"http://[^ \n]+", dev.log.read_text().partition(UP)[2]):
            assert httpx.get(address).status_code == 200, address
        assert all(is_running(project, kind) for kind in SERVERS)

        dev.ctrl_c()

        assert dev.ends_with() == 0
        assert not listens(dev.port)
        assert not any(is_running(project, kind) for kind in SERVERS)


def test_a_killed_run_leaves_no_process(project: Path) -> None:
    with Dev(project) as dev:
        dev.prints(UP)

        dev.process.kill()

        wait_until(lambda: not any(is_running(project, kind) for kind in SERVERS))
        wait_until(lambda: not listens(dev.port))


def test_it_ends_when_its_terminal_closes(project: Path, environment: dict[str, str]) -> None:
    """For example, a lost connection sends SIGHUP to make, which does not pass it on."""
    with Dev(project, **environment) as dev:
        dev.prints(UP)

        dev.terminal.close()

        assert dev.ends_with() == 0
        assert not listens(dev.port)


def test_commands_use_the_same_servers_and_data_with_or_without_a_running_service(
    project: Path,
) -> None:
    variables = [kind.variable for kind in SERVERS]
    show = [sys.executable, "-c", f"import os; print([os.environ[v] for v in {variables}])"]
    with Dev(project) as dev:
        dev.prints(UP)
        first, second = run(project, *show), run(project, *show)
        assert first.returncode == 0
        assert first.stdout == second.stdout

        dev.ctrl_c()
        dev.ends_with()

    data = {path: path.stat().st_ino for path in project.glob(".data/*/*")}
    assert run(project, "sh", "-c", "exit 3").returncode == 3
    assert {path: path.stat().st_ino for path in project.glob(".data/*/*")} == data


def test_a_missing_command_is_named(project: Path, environment: dict[str, str]) -> None:
    ended = run(project, "no-such-command", **environment)
    sentence = "Cannot run no-such-command: No such file or directory.\n"
    assert (ended.returncode, ended.stderr) == (1, sentence)


def test_a_second_run_prints_the_address_of_the_first(
    project: Path, environment: dict[str, str]
) -> None:
    with Dev(project, **environment) as dev:
        dev.prints(UP)

        second = run(project, **environment)

        where = f"http://127.0.0.1:{dev.port}/docs"
        assert second.stderr == f"Already running, pid {dev.process.pid}, at {where}.\n"
        assert second.returncode == 1


@pytest.mark.skipif(not SERVERS, reason="this service has no embedded server")
def test_delete_data_deletes_the_data_unless_it_is_in_use(
    project: Path, environment: dict[str, str]
) -> None:
    data = project / ".data" / SERVERS[0].name
    data.mkdir(parents=True)
    with Dev(project, **environment) as dev:
        dev.prints(UP)
        assert run(project, "--delete-data").returncode == 1
        assert data.exists()

    assert run(project, "--delete-data").returncode == 0
    assert not data.exists()


@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.name)
def test_a_server_whose_variable_is_set_is_not_started(project: Path, kind: type[Server]) -> None:
    ended = run(project, "sh", "-c", f"echo ${kind.variable}", **{kind.variable: "given"})

    assert ended.stdout == f"{kind.variable} is set: using that {kind.name}.\ngiven\n"
    assert not (project / ".data" / kind.name).exists()


def test_a_change_restarts_the_service_and_a_broken_start_waits_for_the_next_change(
    project: Path, environment: dict[str, str]
) -> None:
    module = project / "src" / "reference_service" / "app.py"
    original = module.read_text()
    with Dev(project, **environment) as dev:
        dev.prints(UP)

        module.write_text(original.replace('TITLE = "', 'TITLE = "Changed '))
        dev.prints("The service is up again")
        assert "Changed" in dev.api.get("/docs").text

        module.write_text("def broken(:\n")
        dev.prints("The service ended with status 1.")
        assert "SyntaxError" in dev.log.read_text()

        module.write_text(original)
        wait_until(lambda: dev.log.read_text().count("The service is up again") == 2)
        assert "Changed" not in dev.api.get("/docs").text


def test_invalid_settings_end_it_with_the_status_of_the_service(
    project: Path, environment: dict[str, str]
) -> None:
    ended = run(project, **environment | {"SERVICE_PORT": "eighty"})
    assert ended.returncode == 2
    assert "SERVICE_PORT" in ended.stderr


@pytest.mark.parametrize("variable", ["SERVICE_PORT", "SERVICE_MANAGEMENT_PORT"])
def test_a_port_in_use_is_named_with_the_variable_that_changes_it(
    project: Path, variable: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run(project, **{variable: port})

    sentence = f"Port {port} is in use by another program: set {variable} to a free one.\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", sentence)


BODY = b'{"name": "lamp"}'
HEAD = (
    b"POST /items HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
LONG_TIMEOUTS = {"SERVICE_SHUTDOWN_TIMEOUT": "60", "SERVICE_REQUEST_TIMEOUT": "60"}


def begin_request(dev: Dev) -> socket.socket:
    """Send a request without its body."""
    client = socket.create_connection(("127.0.0.1", dev.port), timeout=30)
    client.sendall(HEAD % len(BODY))
    return client


def test_ctrl_c_lets_running_requests_finish(project: Path, environment: dict[str, str]) -> None:
    with Dev(project, **environment, **LONG_TIMEOUTS) as dev:
        dev.prints(UP)
        with begin_request(dev) as client:
            dev.ctrl_c()
            dev.prints("draining")

            client.sendall(BODY)

            assert client.recv(100).startswith(b"HTTP/1.1 201 ")
            assert dev.ends_with() == 0


def test_a_second_ctrl_c_does_not_wait_for_requests(
    project: Path, environment: dict[str, str]
) -> None:
    with Dev(project, **environment, **LONG_TIMEOUTS) as dev:
        dev.prints(UP)
        with begin_request(dev):
            dev.ctrl_c()
            dev.prints("draining")

            dev.ctrl_c()

            assert dev.ends_with(within=20) == 128 + signal.SIGINT
            assert not listens(dev.port)
