"""What signals can break inside the service's process. Python imports this at its start.

`FAULT_INSIDE` says what: SIGUSR1 breaks it, and SIGUSR2 repairs it, or does the opposite.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HOUR = 3600
NEW_USER, NEW_MOUNTS = 0x10000000, 0x20000  # of unshare(2)
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000  # of mount(2)
DETACH = 2  # of umount2(2): those who wait for the pipe keep the mount busy


class JumpingClock:
    """A wall clock that signals move by an hour, forward or backward. Monotonic time goes on.

    gRPC is left out: it adds a duration to this time, and its core compares the sum with the clock
    of the system, which does not move.
    """

    def __init__(self) -> None:
        self.offset = 0
        self.real_time, self.real_time_ns = time.time, time.time_ns
        time.time, time.time_ns = self.time, lambda: self.real_time_ns() + self.offset * 10**9

    def __call__(self, signum: int, _frame: object) -> None:
        """Move the clock in the direction that the signal stands for."""
        self.offset += HOUR if signum == signal.SIGUSR1 else -HOUR

    def time(self) -> float:
        """Return the moved time."""
        caller = sys._getframe(1).f_globals["__name__"]  # noqa: SLF001 - no public way
        return self.real_time() + (0 if caller.startswith("grpc.") else self.offset)


class SilentResolver:
    """A resolver that stops to respond. The database has a name, which it must resolve.

    In a mount namespace of this process `/etc/hosts` becomes a pipe without a writer: to open
    it takes forever. The folder of this file becomes a disk that ends with the process.
    """

    def __init__(self) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        folder = Path(__file__).parent
        self.pipe = folder / "pipe"
        user, group = os.getuid(), os.getgid()
        self._require(self.libc.unshare(NEW_USER | NEW_MOUNTS))
        for name, line in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            Path("/proc/self", name).write_text(line)
        self._mount("none", "/", flags=RECURSIVE | PRIVATE)
        self._mount("tmpfs", str(folder), kind=b"tmpfs")
        os.mkfifo(self.pipe)
        for name, content in (
            ("hosts", "127.0.0.1 localhost database.test"),
            ("nsswitch.conf", "hosts: files"),
        ):
            (folder / name).write_text(content + "\n")
            self._mount(str(folder / name), f"/etc/{name}", flags=BIND)
        os.environ["DATABASE_URL"] = os.environ["DATABASE_URL"].replace(
            "127.0.0.1", "database.test"
        )

    def __call__(self, signum: int, _frame: object) -> None:
        """Silence the resolver, or let it respond again and release those that wait."""
        if signum == signal.SIGUSR1:
            self._mount(str(self.pipe), "/etc/hosts", flags=BIND)
        else:
            self._require(self.libc.umount2(b"/etc/hosts", DETACH))
            os.close(os.open(self.pipe, os.O_RDWR | os.O_NONBLOCK))

    def _mount(self, source: str, target: str, *, kind: bytes = b"none", flags: int = 0) -> None:
        self._require(self.libc.mount(source.encode(), target.encode(), kind, flags, None))

    @staticmethod
    def _require(status: int) -> None:
        if status:
            raise OSError(ctypes.get_errno(), "unshare or mount")


class StuckPipeline:
    """A log pipeline: stdout is a pipe, whose reader stops to read."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # not on macOS
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        self.reader = subprocess.Popen(["cat"], stdin=reader)  # it ends with the service
        os.dup2(writer, 1)
        os.close(reader)
        os.close(writer)

    def __call__(self, signum: int, _frame: object) -> None:
        """Stop the reader, or let it continue."""
        self.reader.send_signal(signal.SIGSTOP if signum == signal.SIGUSR1 else signal.SIGCONT)


kinds: dict[str, Callable[[], Callable[[int, object], None]]] = {
    "clock": JumpingClock,
    "log": StuckPipeline,
    "resolver": SilentResolver,
}
handler = kinds[os.environ["FAULT_INSIDE"]]()
for number in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, handler)
