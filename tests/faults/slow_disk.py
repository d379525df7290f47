"""A slow disk below PostgreSQL: strace delays each system call that flushes a file.

The server must flush what it commits (`durable`), which other servers for tests do not.
"""

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from dev.process import Process

from .environment import Environment, wait_until
from .small_disk import cannot_mount

PROGRAM = "strace"
FLUSHES = "fsync,fdatasync"
ATTACH_TIMEOUT = 10.0
"""Seconds within which strace has attached to every process of the server."""
PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")


@dataclass
class SlowDisk:
    """Makes each flush of the server take longer. seconds: by how much."""

    seconds: float
    _strace: list[Process] = field(default_factory=list)

    async def slow_down(self, env: Environment) -> None:
        """Attach to every process of the server, and to those that it starts."""
        pids = await asyncio.to_thread(lambda: env.postgres.process.pids)
        delay = f"inject={FLUSHES}:delay_enter={self.seconds * 1000:.0f}ms"
        attached = [option for pid in pids for option in ("-p", str(pid))]
        command = [PROGRAM, "-f", "-qq", "-o", os.devnull, "-e", f"trace={FLUSHES}", "-e", delay]
        self._strace.append(Process([*command, *attached]))

        async def is_attached() -> bool:
            return all(map(_is_traced, pids))

        await wait_until(is_attached, ATTACH_TIMEOUT)

    def restore(self, _: Environment) -> None:
        """End the delays."""
        self._strace.pop().stop()


def _is_traced(pid: int) -> bool:
    """Return whether a tracer is attached to a process, or the process has ended."""
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "TracerPid:\t0\n" not in status.read_text()


def cannot_slow_down() -> str:
    """Return why this machine cannot delay the server's system calls, or an empty string."""
    if reason := cannot_mount():  # the server has its own disk
        return reason
    if not shutil.which(PROGRAM):
        return f"{PROGRAM} is not installed: apt install {PROGRAM}"
    if os.geteuid() and PTRACE_SCOPE.exists() and PTRACE_SCOPE.read_text().strip() != "0":
        return f"{PROGRAM} may not attach to processes: sysctl kernel.yama.ptrace_scope=0"
    if subprocess.run([PROGRAM, "-qq", "-o", os.devnull, "true"], check=False).returncode:
        return f"{PROGRAM} is not permitted here"
    return ""
