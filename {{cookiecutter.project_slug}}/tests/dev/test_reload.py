"""What `python -m dev` does about servers that have ended."""

import os
import signal
import time
from pathlib import Path

import pytest

from dev import reload
from dev.process import StartError, wait_until
from dev.server import Server
from dev.servers import SERVERS

each_kind = pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.name)


def end(server: Server) -> None:
    os.kill(server.process.pids[0], signal.SIGKILL)
    wait_until(server.ended, 30)


@each_kind
def test_a_server_that_has_ended_restarts_after_a_delay(
    kind: type[Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(reload, "RESTART_DELAY", 0.1)
    with kind(tmp_path) as server:
        restarts = reload.ServerRestarts([server])
        restarts.restart_due()
        assert capsys.readouterr().out == ""

        end(server)
        restarts.restart_due()
        assert server.ended()
        time.sleep(0.1)
        restarts.restart_due()
        wait_until(server.is_ready, 30)

    announced, restarted = capsys.readouterr().out.splitlines()
    assert announced == f"{kind.name} has ended. It restarts in 0.1 s."
    assert restarted == f"{kind.name} is up again."


@each_kind
def test_a_server_that_does_not_come_up_again_is_reported_once(
    kind: type[Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: Server) -> None:
        raise StartError("There is no room left.")

    monkeypatch.setattr(reload, "RESTART_DELAY", 0)
    with kind(tmp_path) as server:
        restarts = reload.ServerRestarts([server])
        end(server)
        monkeypatch.setattr(Server, "start", fail)
        for _ in range(4):
            restarts.restart_due()

    assert capsys.readouterr().out.splitlines()[1:] == [
        "There is no room left.",
        "Stop `make dev` and start it again.",
    ]
