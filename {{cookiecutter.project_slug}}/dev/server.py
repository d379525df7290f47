"""What embedded servers have in common: a port, a life, and the certainty that they answer."""

import contextlib
import importlib.util
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, ClassVar, Self

from dev.lock import lock
from dev.ports import free_port
from dev.process import Process, StartError, wait_until

PATIENCE = 30.0
"""Seconds that a server may take to start, or a former one to go: a busy machine is slow."""


class Server(ABC):
    """A server of our own on a port of 127.0.0.1, with its data and its log in ``folder``.

    ``settings`` are added to the server's own configuration. Unless it is ``durable``, a crash of
    the machine (not of the process) may lose its data: that makes it fast enough for tests.
    """

    name: ClassVar[str]
    """What people call it, and its log file."""
    variable: ClassVar[str]
    """The environment variable by which the service is told of such a server."""
    instead_of: ClassVar[tuple[str, ...]] = ()
    """The variables of servers whose work it does too: those are not started."""
    setup: ClassVar[tuple[str, ...]] = ()
    """The Python module, and its arguments, that make a new server fit for the service."""
    ports: ClassVar[int] = 1
    """How many it takes, in a row."""
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(
        self, folder: Path, *, settings: Mapping[str, str] | None = None, durable: bool = False
    ) -> None:
        self.folder = folder.resolve()
        self.settings = dict(settings or {})
        self.durable = durable
        self.log = self.folder / f"{self.name}.log"
        self._port: int | None = None
        self._process: Process | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where the service finds it."""

    @abstractmethod
    def prepare(self, log: IO[bytes]) -> None:
        """Make the data if there is none yet. No other server uses the folder meanwhile."""

    @abstractmethod
    def command(self) -> list[str]:
        """Give the command that serves the data on the port."""

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether it, and no other program on its port, answers: asked while it runs."""

    @property
    def port(self) -> int:
        """The port: found by the first start, kept from then on."""
        if self._port is None:
            raise RuntimeError(f"{self.name} has no port before its first start.")
        return self._port

    @property
    def process(self) -> Process:
        """The running process."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running: start it first.")
        return self._process

    def start(self) -> None:
        """Start it, on the port it had if it had one, and return when it answers.

        Raises StartError, with the end of its log, if it does not come up.
        """
        if self._process is not None and self._process.status is None:
            raise RuntimeError(f"{self.name} is already running on port {self._port}.")
        self.stop()  # what a crash left
        ports = [self._port] if self._port else [free_port(self.ports) for _ in range(3)]
        with self._sole_use_of_folder() as log:
            self.prepare(log)
            for port in ports:
                self._port = port
                if self._launch(log):
                    return
        raise StartError(f"{self.name} cannot listen: other programs use the ports {ports}.")

    def stop(self) -> None:
        """End it in order, paused or not; nothing happens if it is not running."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()

    def kill(self) -> None:
        """End all its processes at once, as a crash would; the data stays for the next start."""
        self.process.kill()
        self._process = None

    def restart(self) -> None:
        """Stop it in order and start it again, on the same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it: its connections stay open, the kernel accepts new ones, nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self.process.resume()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self, log: IO[bytes]) -> bool:
        """Start the process and wait until it answers; False if its port belongs to another."""
        earlier = log.seek(0, 2)
        process = Process(self.command(), output=log, stop_signal=self.stop_signal)
        self._process = process
        try:
            wait_until(lambda: process.status is not None or self.answers(), PATIENCE)
        except BaseException as error:
            self.kill()
            if not isinstance(error, TimeoutError):
                raise
        if process.status is None:
            return True
        self.stop()
        written = self.log.read_bytes()[earlier:].decode(errors="replace")
        if "Address already in use" in written:
            return False
        raise StartError(f"{self.name} did not come up. Its log, {self.log}, ends:\n{written}")

    @contextlib.contextmanager
    def _sole_use_of_folder(self) -> Iterator[IO[bytes]]:
        """Open the log, locked. Every process of the server inherits it, and so the lock.

        So the folder is free when no process of a former server is left, however that one ended.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            try:
                wait_until(lambda: lock(log), PATIENCE)
            except TimeoutError:
                raise StartError(f"Another {self.name} is using {self.folder}.") from None
            yield log


def package_folder(package: str) -> Path:
    """Give the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise StartError(f"The package {package} is not installed: run make.")
    return Path(spec.submodule_search_locations[0])
