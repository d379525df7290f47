"""Break a small disk, then ask a client and the check. Runs in a mount namespace of its own.

python -m tests.patterns.disk_scenarios FOLDER SCENARIO
"""

import asyncio
import ctypes
import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from patterns.checks.disk import disk_check
from patterns.health import CheckFailed, run_once

SIZE, INODES = 4_000_000, 50
LARGEST_FILE = 100_000
"""What the client writes."""
MS_RDONLY, MS_REMOUNT = 1, 32


def mount(folder: Path, flags: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={SIZE},nr_inodes={INODES},mode=700".encode()
    if libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", flags, options):
        raise OSError(ctypes.get_errno(), "mount")


def fill(folder: Path, free_bytes: int) -> None:
    """Write a file that leaves so much space."""
    disk = os.statvfs(folder)
    (folder / "filler").write_bytes(bytes(disk.f_bavail * disk.f_frsize - free_bytes))


def use_inodes(folder: Path, free: int) -> None:
    for number in range(os.statvfs(folder).f_favail - free):
        (folder / str(number)).touch()


def make_read_only(folder: Path) -> None:
    mount(folder, MS_REMOUNT | MS_RDONLY)


def delete(folder: Path) -> None:
    (folder / "uploads").rmdir()


SCENARIOS: dict[str, Callable[[Path], object]] = {
    "healthy": lambda _: None,
    "full": lambda folder: fill(folder, 0),
    "too little for the largest file": lambda folder: fill(folder, LARGEST_FILE // 2),
    "nearly full": lambda folder: fill(folder, LARGEST_FILE * 2),
    "no inodes": lambda folder: use_inodes(folder, 0),
    "few inodes": lambda folder: use_inodes(folder, 3),
    "read-only": make_read_only,
    "deleted": delete,
}


def write_as_client(folder: Path) -> str:
    """Write the largest file of a request. Return the name of the error, or an empty string."""
    try:
        (folder / "upload").write_bytes(bytes(LARGEST_FILE))
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    finally:
        if not os.statvfs(folder.parent).f_flag & os.ST_RDONLY:
            (folder / "upload").unlink(missing_ok=True)
    return ""


async def ask_check(folder: Path) -> dict[str, object]:
    try:
        result = await run_once(disk_check(folder, min_free_bytes=LARGEST_FILE))
    except CheckFailed as error:
        return {"status": "fail", "error": type(error).__name__, "data": error.data}
    except OSError as error:
        return {"status": "fail", "error": type(error).__name__}
    return {"status": result.status, "detail": result.detail, "data": result.data}


if __name__ == "__main__":
    disk, scenario = Path(sys.argv[1]), sys.argv[2]
    mount(disk)
    uploads = disk / "uploads"
    uploads.mkdir()
    SCENARIOS[scenario](disk)
    answer = {"client": write_as_client(uploads), "check": asyncio.run(ask_check(uploads))}
    left = sorted(path.name for path in uploads.iterdir()) if uploads.exists() else []
    print(json.dumps(answer | {"left": left}))  # noqa: T201 - the test reads it
