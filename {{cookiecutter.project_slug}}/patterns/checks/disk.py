"""The check of a folder that the service writes to: that a write succeeds, and what is left."""

import errno
import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

from ..health import Check, CheckFailed, CheckResult, Status

BLOCK = bytes(4096)
LOW = 0.1  # the check warns if a smaller part of the bytes or of the inodes is free
IMPACT_REASON = "requests that write files fail"


class DiskFull(CheckFailed):
    """There is no space or no inode for the next file."""


class WriteFailed(CheckFailed):
    """A file cannot be written: for example, the file system is read-only or a quota is used up."""


def disk_check(folder: Path, *, min_free_bytes: int = 1_000_000, name: str = "disk") -> Check:
    """Return the check that a new file can be written to a folder and reach the disk.

    min_free_bytes: the largest file that a request writes. The check fails if less is free.

    A file system that hangs holds one thread, because the engine starts no other attempt.
    """
    run = partial(_check_folder, folder, min_free_bytes)
    return Check(name, run, impact_reason=IMPACT_REASON)


def _check_folder(folder: Path, min_free_bytes: int) -> CheckResult:
    """Write a file without a name, which is gone after a crash too. Raises OSError, CheckFailed."""
    disk = os.statvfs(folder)
    data = {
        "free_bytes": disk.f_bavail * disk.f_frsize,
        "bytes": disk.f_blocks * disk.f_frsize,
        "free_inodes": disk.f_favail,
        "inodes": disk.f_files,  # 0: the file system has no limit
    }
    try:
        with TemporaryFile(dir=folder, buffering=0) as file:
            file.write(BLOCK)
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno == errno.ENOSPC:
            what = "inode" if data["inodes"] and not data["free_inodes"] else "space"
            raise DiskFull(f"no {what} is left", **data) from None
        reason = errno.errorcode.get(error.errno or 0, "")
        raise WriteFailed("a file cannot be written", reason=reason, **data) from None
    if data["free_bytes"] < min_free_bytes:
        raise DiskFull("a file of the largest size does not fit", **data)
    if data["free_bytes"] < LOW * data["bytes"]:
        return CheckResult(Status.WARN, "little space is left", data)
    if data["free_inodes"] < LOW * data["inodes"]:
        return CheckResult(Status.WARN, "few inodes are left", data)
    return CheckResult(data=data)
