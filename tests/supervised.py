"""Start processes that end when the process that started them ends, even after SIGKILL."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from tools.generate import ROOT

SUPERVISOR = ROOT / "{{cookiecutter.project_slug}}" / "dev" / "supervisor.py"


class SupervisedProcesses:
    """Processes that all end at the end of a `with` block, or when this process ends.

    They share one pipe as standard input. The kernel closes its other end when this process ends,
    and `dev/supervisor.py` then sends ``stop_signal``, and SIGKILL ``grace`` seconds later.
    """

    def __init__(self, *, stop_signal: signal.Signals = signal.SIGINT, grace: float = 30.0) -> None:
        self._options = [str(int(stop_signal)), str(grace)]

    def __enter__(self) -> Self:
        self._read_end, self._write_end = os.pipe()
        self._processes: list[subprocess.Popen[str]] = []
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        os.close(self._read_end)

    def start(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str],
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] | None = None,
    ) -> "subprocess.Popen[str]":
        """Start a command. Its exit status is 128 + n if signal n ended it."""
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SUPERVISOR), *self._options, *command],
            cwd=cwd,
            env=env,
            stdin=self._read_end,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )
        self._processes.append(process)
        return process

    def request_stop(self) -> None:
        """Send the stop signal to all processes, and do not wait."""
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1

    def stop(self) -> None:
        """Send the stop signal to all processes, and wait until they have ended."""
        self.request_stop()
        for process in self._processes:
            process.wait()


def run_supervised(
    command: Sequence[str], *, env: Mapping[str, str], timeout: float
) -> tuple[int, str]:
    """Run a command, and return its exit status and output.

    timeout: seconds. Raises subprocess.TimeoutExpired, which holds the output so far.
    """
    with SupervisedProcesses(stop_signal=signal.SIGTERM) as processes:
        process = processes.start(command, env=env, stderr=subprocess.STDOUT)
        output, _ = process.communicate(timeout=timeout)
        return process.returncode, output
