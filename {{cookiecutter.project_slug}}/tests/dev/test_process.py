"""A supervised process ends on request, and when the process that started it ends."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import IO

import pytest

from dev.process import Process, wait_until

from .starter import run_starter, wait_for_line

STARTER = """
import signal, sys, time
from dev.process import Process

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
process = Process(["sh", "-c", "sleep 600 & sleep 600 & echo started; wait"])
if sys.argv[1] == "paused":
    while len(process.pids) < 3:
        time.sleep(0.01)
    process.pause()
    print("paused", flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def shell(script: str, grace: float = 30.0) -> Iterator[tuple[Process, IO[bytes]]]:
    """Run a script that prints `ready`. The output ends when its last process has ended."""
    read, write = os.pipe()
    with os.fdopen(read, "rb") as output:
        with os.fdopen(write, "wb") as written:
            process = Process(["sh", "-c", script], output=written, grace=grace)
        with process:
            assert output.readline() == b"ready\n"
            yield process, output


@pytest.mark.parametrize("state", ["started", "paused"])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_no_process_is_left_when_the_starter_has_ended(state: str, signum: signal.Signals) -> None:
    with run_starter(STARTER, state) as starter:
        wait_for_line(starter, state)

        starter.send_signal(signum)

        assert starter.communicate(timeout=30)[0] == b""  # no process holds the pipe


def test_stop_lets_the_process_shut_down() -> None:
    with shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done") as started:
        process, output = started

        assert process.stop() == 7
        assert process.status == 7
        assert output.read() == b"bye\n"


def test_stop_lets_a_paused_process_shut_down() -> None:
    with shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done") as started:
        process, output = started
        process.pause()

        assert process.stop() == 7
        assert output.read() == b"bye\n"


def test_a_process_that_ignores_the_signal_is_killed_with_its_children_after_the_grace() -> None:
    script = "trap '' TERM; sleep 600 & echo ready; while :; do sleep 600; done"
    with shell(script, grace=0.1) as (process, output):
        assert process.stop() == 128 + signal.SIGKILL
        assert output.read() == b""


def test_kill_ends_all_processes_without_a_signal_handler() -> None:
    with shell("trap 'echo bye' TERM; sleep 600 & echo ready; sleep 600") as (process, output):
        process.kill()

        assert process.status == 128 + signal.SIGKILL
        assert output.read() == b""


def test_an_interrupted_stop_kills_the_process() -> None:
    """For example, a second Ctrl-C while the service drains."""

    def interrupt_while_draining() -> None:
        assert output.readline() == b"draining\n"
        os.kill(os.getpid(), signal.SIGINT)

    with shell("trap 'echo draining' TERM; echo ready; while :; do sleep 0.01; done") as started:
        process, output = started
        interruption = threading.Thread(target=interrupt_while_draining)
        interruption.start()

        with pytest.raises(KeyboardInterrupt):
            process.stop()

        interruption.join(30)
        assert process.status == 128 + signal.SIGKILL


def test_pause_also_suspends_the_children_until_resume() -> None:
    with shell("echo ready; (while :; do echo; sleep 0.01; done) & wait") as (process, output):
        os.set_blocking(output.fileno(), False)
        wait_until(output.read, 30)

        process.pause()

        output.read()  # the output before the pause
        time.sleep(0.2)
        assert output.read() is None

        process.resume()

        wait_until(output.read, 30)
        process.kill()


def test_a_process_that_has_ended_keeps_its_status() -> None:
    with shell("echo ready; exit 3") as (process, output):
        assert output.read() == b""
        assert process.stop() == 3


def test_ctrl_c_in_the_terminal_does_not_reach_the_process() -> None:
    with shell("echo ready; sleep 600") as (process, _):
        assert os.getsid(process.pids[0]) != os.getsid(0)


def test_a_process_does_not_inherit_ignored_signals() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        process = Process(["sleep", "600"])
    finally:
        signal.signal(signal.SIGTERM, before)
    wait_until(lambda: len(process.pids) == 1, 30)
    assert process.stop() == 128 + signal.SIGTERM
