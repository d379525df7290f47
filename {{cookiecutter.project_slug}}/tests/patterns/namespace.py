"""Run a scenario as a program of its own, on a small disk or with a memory limit."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--mount", "--keep-caps")
TIMEOUT = 60.0


def run_scenario(module: str, *arguments: object, prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run a module of this folder. It prints a JSON object, which is returned."""
    command = [*prefix, sys.executable, "-m", f"{__package__}.{module}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def require_mounts() -> None:
    """Skip the test if this machine cannot mount a disk in a user namespace. Fail in a pipeline."""
    command = [*NAMESPACE, "--", "true"]
    if not shutil.which("unshare") or subprocess.run(command, check=False).returncode:
        unavailable("a small disk needs Linux with user namespaces")


def unavailable(reason: str) -> None:
    """Skip the test. Under `CI=true`, fail it, so that nothing is left out."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def memory_group(limit: int | None) -> Iterator[Path]:
    """Create a control group with a memory limit, in version 1 or 2, and delete it."""
    if os.geteuid() != 0:
        pytest.skip("only root can create a control group")
    root = Path("/sys/fs/cgroup/memory")
    is_version_1 = (root / "memory.limit_in_bytes").exists()
    root = root if is_version_1 else Path("/sys/fs/cgroup")
    group = root / f"test-{uuid.uuid4().hex[:8]}"
    try:
        if not is_version_1:
            (root / "cgroup.subtree_control").write_text("+memory")
        group.mkdir()
    except OSError:
        unavailable("a memory limit needs a writable control group")
    names = ("memory.limit_in_bytes", "memory.swappiness")
    limit_file, swap_file = names if is_version_1 else ("memory.max", "memory.swap.max")
    try:
        if limit is not None:
            (group / limit_file).write_text(str(limit))
            if (group / swap_file).exists():
                (group / swap_file).write_text("0")
        yield group
    finally:
        group.rmdir()
