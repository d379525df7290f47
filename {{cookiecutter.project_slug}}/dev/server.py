"""What all embedded servers share: a port, a life cycle, and a check that they respond."""

import contextlib
import importlib.util
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, ClassVar, Self

from dev.lock import try_lock
from dev.ports import free_port
from dev.process import Process, StartError, wait_until

START_TIMEOUT = 30.0
"""Seconds that a server can take to start, or an earlier one to end, on a busy machine."""


class Server(ABC):
    """A server on a port of 127.0.0.1, with its data and its log in ``folder``.

    settings: added to the server's own configuration.
    durable: whether the data survives a crash of the machine. False is fast enough for tests; a
        crash of the process never loses data.
    """

    name: ClassVar[str]
    """Its name in messages, and the name of its log file."""
    variable: ClassVar[str]
    """The environment variable that gives the service the `url`."""
    replaces: ClassVar[tuple[str, ...]] = ()
    """The variables of the servers that this one makes unnecessary. They are not started."""
    setup: ClassVar[tuple[str, ...]] = ()
    """The Python module, with its arguments, that prepares a new server for the service."""
    ports: ClassVar[int] = 1
    """How many consecutive ports it uses."""
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_timeout: ClassVar[float] = START_TIMEOUT

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
        """The address for the service, in the form that its setting expects."""

    @abstractmethod
    def prepare(self, log: IO[bytes]) -> None:
        """Create the data if there is none. The folder is locked meanwhile."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command that serves the data on the port."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the running process responds, and not another program on its port."""

    @property
    def port(self) -> int:
        """The port, which the first start chooses and later starts keep."""
        if self._port is None:
            raise RuntimeError(f"{self.name} has no port before its first start.")
        return self._port

    @property
    def process(self) -> Process:
        """The running process."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running: start it first.")
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended, paused or not."""
        return self._process is not None and self._process.status is None

    def ended(self) -> list["Server"]:
        """Return the server if it has ended by itself; of a group, the members that have."""
        return [self] if self._process is not None and self._process.status is not None else []

    def start(self) -> None:
        """Start it, on its former port if it had one, and return when it is ready.

        Raises StartError, with the end of its log, if it does not become ready.
        """
        if self.is_running:
            raise RuntimeError(f"{self.name} is already running on port {self._port}.")
        self.stop()  # what a crash left
        ports = [self._port] if self._port else [free_port(self.ports) for _ in range(3)]
        with self._locked_folder() as log:
            self.prepare(log)
            for port in ports:
                self._port = port
                if self._launch(log):
                    return
        raise StartError(f"{self.name} cannot listen: other programs use the ports {ports}.")

    def stop(self) -> None:
        """Shut it down gracefully, paused or not. Does nothing if it is not running."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()

    def kill(self) -> None:
        """End all its processes at once, like a crash. The data stays for the next start."""
        self.process.kill()
        self._process = None

    def restart(self) -> None:
        """Shut it down gracefully and start it again, on the same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open, the kernel accepts new ones, nothing responds."""
        self.process.pause()

    def resume(self) -> None:
        """Continue after `pause`."""
        self.process.resume()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self, log: IO[bytes]) -> bool:
        """Start the process and wait until it is ready; False if another program has its port."""
        log_start = log.seek(0, 2)
        process = Process(self.command(), output=log, stop_signal=self.stop_signal)
        self._process = process
        try:
            wait_until(lambda: process.status is not None or self.is_ready(), self.start_timeout)
        except BaseException as error:
            self.kill()
            if not isinstance(error, TimeoutError):
                raise
        if process.status is None:
            return True
        self.stop()
        written = self.log.read_bytes()[log_start:].decode(errors="replace")
        if "Address already in use" in written:
            return False
        raise StartError(f"{self.name} did not start. Its log, {self.log}, ends:\n{written}")

    @contextlib.contextmanager
    def _locked_folder(self) -> Iterator[IO[bytes]]:
        """Open the log and lock it. Every process of the server inherits the lock.

        So the folder is free when no process of an earlier server is left, however it ended.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            try:
                wait_until(lambda: try_lock(log), START_TIMEOUT)
            except TimeoutError:
                raise StartError(f"Another {self.name} is using {self.folder}.") from None
            yield log


def package_folder(package: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise StartError(f"The package {package} is not installed: run make.")
    return Path(spec.submodule_search_locations[0])
