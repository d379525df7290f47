"""Run one command, and end it when the process that started it has ended.

    python -I -S supervisor.py STOP_SIGNAL GRACE COMMAND [ARGUMENT ...]

Standard input is a pipe whose other end the starter holds. The kernel closes that end however the
starter ends, SIGKILL included. So the end of the input is a reliable request to stop: the command
receives ``STOP_SIGNAL`` and, ``GRACE`` seconds later, SIGKILL with all its descendants.

When the command ends, the rest of its process group is killed. The exit status is the command's
own, or 128 plus the number of the signal that ended it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

MAX_FREEZING = 5.0  # seconds until a suspended process must have stopped
STOPPED = {b"T", b"t", b"Z", b"X"}  # states in /proc/PID/stat: stopped, traced, ended


def descendants(pid: int) -> list[int]:
    """Return the children of ``pid``, their children and so on, each after its parent."""
    parents = _parents()
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family[1:]


def freeze(pid: int) -> list[int]:
    """Suspend ``pid`` and its descendants, and return them all.

    A suspended process starts no other, so the list is complete when a search finds no new one.
    """
    frozen: list[int] = []
    found = [pid]
    while found:
        suspend(found)
        frozen += found
        found = [member for member in descendants(pid) if member not in frozen]
    return frozen


def suspend(pids: Sequence[int]) -> None:
    """Suspend processes, and wait until they have stopped.

    SIGSTOP only asks the kernel: on a busy machine a process can run on for milliseconds.
    """
    send(pids, signal.SIGSTOP)
    deadline = time.monotonic() + MAX_FREEZING
    while any(map(_runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.001)


def send(pids: Iterable[int], signum: signal.Signals) -> None:
    """Send a signal to each process that still exists."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def _runs(pid: int) -> bool:
    """Return whether a thread of the process is neither suspended nor ended. Only Linux tells."""
    for thread in Path("/proc").glob(f"{pid}/task/*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            if thread.read_bytes().rpartition(b")")[2].split()[0] not in STOPPED:
                return True
    return False


def _parents() -> dict[int, int]:
    """Map every process to its parent, from /proc or, if it does not exist, from ps(1)."""
    if not Path("/proc/self/stat").exists():
        table = subprocess.run(
            ["/bin/ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=True, text=True
        ).stdout
        return {int(pid): int(parent) for pid, parent in map(str.split, table.splitlines())}
    parents = {}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):  # it has just ended
                # "pid (name) state parent …", where the name can contain spaces and parentheses
                stat = (process / "stat").read_bytes()
                parents[int(process.name)] = int(stat.rpartition(b")")[2].split()[1])
    return parents


def _stop_at_end_of_input(
    command: subprocess.Popen[bytes], stop: signal.Signals, grace: float
) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    send(
        [command.pid, *descendants(command.pid)], signal.SIGCONT
    )  # suspended processes receive nothing else
    send([command.pid], stop)
    try:
        command.wait(grace)
    except subprocess.TimeoutExpired:
        send(freeze(command.pid), signal.SIGKILL)


def main(stop_signal: str, grace: str, *command: str) -> int:
    """Run the command to its end and return its exit status."""
    endings = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    for signum in endings:
        signal.signal(signum, signal.SIG_DFL)  # a starter that ignores them passes that on
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    for signum in endings:
        signal.signal(signum, signal.SIG_IGN)  # otherwise the command would run on alone
    stop = signal.Signals(int(stop_signal))
    threading.Thread(
        target=_stop_at_end_of_input, args=(process, stop, float(grace)), daemon=True
    ).start()
    status = process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the group is already empty
        os.killpg(process.pid, signal.SIGKILL)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
