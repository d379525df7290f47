"""A process that ends with the process that started it, and that can be paused and killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Self

from dev import supervisor


class StartError(Exception):
    """The reason why something does not start, as a sentence for the user."""


class Process:
    """A command under `dev.supervisor`, from construction until `stop` or its own end.

    The command has a session of its own, so a Ctrl-C in the terminal reaches only the starter,
    which decides the order in which things end.

    output: receives the command's output; by default the starter's own output.
    stop_signal, grace: `stop` sends the signal and, ``grace`` seconds later, SIGKILL.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        output: IO[bytes] | None = None,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace: float = 10.0,
    ) -> None:
        script = supervisor.__file__
        supervised = [sys.executable, "-I", "-S", script, str(int(stop_signal)), str(grace)]
        self._supervisor = subprocess.Popen(
            [*supervised, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )

    @property
    def status(self) -> int | None:
        """The exit status (128 + n after signal n), or None while it runs."""
        return self._supervisor.poll()

    @property
    def pids(self) -> list[int]:
        """The command's process and its descendants; empty before its start and after its end."""
        return supervisor.descendants(self._supervisor.pid)

    def pause(self) -> None:
        """Suspend all its processes: connections stay open, but nothing responds."""
        for pid in self.pids[:1]:
            supervisor.freeze(pid)

    def resume(self) -> None:
        """Continue after `pause`."""
        supervisor.send(self.pids, signal.SIGCONT)

    def kill(self) -> None:
        """End all its processes at once with SIGKILL."""
        for pid in self.pids[:1]:
            supervisor.send(supervisor.freeze(pid), signal.SIGKILL)
        self._request_stop()

    def stop(self) -> int:
        """Shut it down gracefully, paused or not, and return its exit status.

        An exception that interrupts the wait, for example a second Ctrl-C, kills it.
        """
        try:
            self._request_stop()
        except BaseException:
            self.kill()
            raise
        return self._supervisor.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _request_stop(self) -> None:
        """Close the supervisor's input, which tells it to stop the command, and wait for it."""
        if self._supervisor.stdin:
            self._supervisor.stdin.close()
        self._supervisor.wait()


def wait_until(condition: Callable[[], object], timeout: float) -> None:
    """Return when the condition holds. Raises TimeoutError after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)
