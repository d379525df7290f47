"""Every embedded server has a port of its own, and ends with the process that started it."""

import contextlib
import itertools
import os
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.lock import try_lock
from dev.process import StartError, wait_until
from dev.server import Server
from dev.servers import SERVERS

from .starter import run_starter, wait_for_line

STARTER = """
import sys, time
from pathlib import Path
from dev.servers import SERVERS

server = next(kind for kind in SERVERS if kind.name == sys.argv[1])(Path(sys.argv[2]))
server.start()
if sys.argv[3] == "paused":
    server.pause()
print("started", flush=True)
time.sleep(600)
"""

each_kind = pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.name)


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """Listen on a port where embedded servers look for one."""
    with socket.socket() as listener:
        for port in itertools.count(20_000):
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                listener.listen()
                yield port
                return


def is_free(folder: Path, kind: type[Server]) -> bool:
    """Whether no process of a server in the folder is left: each would hold the lock."""
    with (folder / f"{kind.name}.log").open("ab") as log:
        return try_lock(log)


@each_kind
def test_it_restarts_on_the_same_port_however_it_ended(kind: type[Server], tmp_path: Path) -> None:
    with kind(tmp_path) as server:
        url = server.url

        server.restart()
        assert server.is_ready()

        server.kill()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))
        server.start()
        assert server.is_ready()

        os.kill(server.process.pids[0], signal.SIGKILL)
        wait_until(lambda: server.process.status is not None, 30)
        server.start()
        assert server.is_ready()

        server.pause()
        server.stop()
        server.start()
        assert server.is_ready()

        assert server.url == url


@each_kind
@pytest.mark.parametrize("state", ["running", "paused"])
def test_no_process_is_left_when_the_starter_was_killed(
    kind: type[Server], state: str, tmp_path: Path
) -> None:
    with run_starter(STARTER, kind.name, str(tmp_path), state) as starter:
        wait_for_line(starter, "started")
        assert not is_free(tmp_path, kind)

        starter.kill()

    wait_until(lambda: is_free(tmp_path, kind), 30)


@each_kind
def test_a_port_in_use_is_not_chosen(
    kind: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taken_port() as port:
        random = secrets.randbelow
        numbers = itertools.chain([port - 20_000], iter(lambda: random(12_000), None))
        monkeypatch.setattr(secrets, "randbelow", lambda _: next(numbers))

        with kind(tmp_path) as server:
            assert server.port != port
            assert server.is_ready()


@each_kind
def test_a_restart_reports_that_its_port_is_in_use(kind: type[Server], tmp_path: Path) -> None:
    server = kind(tmp_path)
    server.start()
    server.stop()
    sentence = f"{server.name} cannot listen: .*{server.port}"
    with (
        socket.create_server(("127.0.0.1", server.port)),
        pytest.raises(StartError, match=sentence),
    ):
        server.start()


@each_kind
def test_a_folder_has_one_server_at_a_time(
    kind: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kind(tmp_path) as server:
        monkeypatch.setattr("dev.server.START_TIMEOUT", 0.1)
        with pytest.raises(StartError, match=f"Another {kind.name} is using {tmp_path}"):
            kind(tmp_path).start()
        assert server.is_ready()


@each_kind
def test_a_failed_start_shows_the_log(kind: type[Server], tmp_path: Path) -> None:
    server = kind(tmp_path, settings={"no_such_setting": "1"})
    with pytest.raises(StartError, match=f"(?s){tmp_path}.*no_such_setting"):
        server.start()
    assert is_free(tmp_path, kind)


@each_kind
def test_it_serves_in_a_folder_with_a_long_name_and_spaces(
    kind: type[Server], tmp_path: Path
) -> None:
    with kind(tmp_path / "a folder" / ("long" * 50)) as server:
        assert server.is_ready()
