"""One process that ends with its starter, and that can be paused and killed meanwhile."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Self

from dev import supervisor


class StartError(Exception):
    """Why something does not start, as a sentence for whoever started it."""


class Process:
    """A command that runs under `dev.supervisor`, from construction until `stop` or its own end.

    It runs in a session of its own, so that a Ctrl-C in the terminal reaches only its starter, who
    decides what ends when. ``output`` receives what it writes (default: our own output).
    `stop` sends ``stop_signal`` and, ``grace`` seconds later, SIGKILL.
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
        under_guard = [
            sys.executable,
            "-I",
            "-S",
            supervisor.__file__,
            str(int(stop_signal)),
            str(grace),
        ]
        self._guard = subprocess.Popen(
            [*under_guard, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )

    @property
    def status(self) -> int | None:
        """The exit status (128 + n after signal n), or None while it runs."""
        return self._guard.poll()

    @property
    def pids(self) -> list[int]:
        """The command's process, then its descendants; empty before its start and after its end."""
        return supervisor.descendants(self._guard.pid)

    def pause(self) -> None:
        """Stop every process of it where it stands: connections stay open, nothing answers."""
        for pid in self.pids[:1]:
            supervisor.freeze(pid)

    def resume(self) -> None:
        """Let it go on after `pause` as if nothing had been."""
        supervisor.send(self.pids, signal.SIGCONT)

    def kill(self) -> None:
        """End every process of it at once, without a word to it."""
        for pid in self.pids[:1]:
            supervisor.send(supervisor.freeze(pid), signal.SIGKILL)
        self._leave()

    def stop(self) -> int:
        """End it in order, paused or not, and give its exit status.

        Whatever interrupts the wait, such as a second Ctrl-C, ends it at once.
        """
        try:
            self._leave()
        except BaseException:
            self.kill()
            raise
        return self._guard.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _leave(self) -> None:
        if self._guard.stdin:
            self._guard.stdin.close()
        self._guard.wait()


def wait_until(condition: Callable[[], object], timeout: float) -> None:
    """Return once the condition holds; raise TimeoutError if it does not within ``timeout``."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)
