"""A disk that is broken, what a client that writes gets, and what the check reports."""

import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from patterns.checks.disk import disk_check
from patterns.health import Registry

from ..processes import eventually
from .namespace import NAMESPACE, require_mounts, run_scenario

ROWS = {
    "healthy": ("", "pass", ""),
    "full": ("ENOSPC", "fail", "DiskFull"),
    "too little for the largest file": ("ENOSPC", "fail", "DiskFull"),
    "nearly full": ("", "warn", "little space is left"),
    "no inodes": ("ENOSPC", "fail", "DiskFull"),
    "few inodes": ("", "warn", "few inodes are left"),
    "read-only": ("EROFS", "fail", "WriteFailed"),
    "deleted": ("ENOENT", "fail", "FileNotFoundError"),
}


@pytest.mark.parametrize("scenario", ROWS)
def test_check_fails_when_clients_cannot_write(scenario: str, tmp_path: Path) -> None:
    require_mounts()
    outcome = run_scenario("disk_scenarios", tmp_path, scenario, prefix=(*NAMESPACE, "--"))
    check: dict[str, Any] = outcome["check"]
    reported = check.get("error") or check["detail"]
    assert (outcome["client"], check["status"], reported) == ROWS[scenario]
    assert outcome["left"] == []
    if scenario == "read-only":
        assert check["data"]["reason"] == "EROFS"


async def test_disk_that_hangs_holds_one_thread_until_it_responds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    responds = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: responds.wait(30))
    registry = Registry([disk_check(tmp_path)])
    registry.started_up = True
    before = threading.active_count()
    await registry.start()
    try:
        await eventually(answers(registry, 504))
        assert threading.active_count() - before <= 2  # one of the check, one that supervises
        responds.set()
        await eventually(answers(registry, 200))
    finally:
        await registry.stop()


def answers(registry: Registry, code: int) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return registry.ready().code == code

    return condition
