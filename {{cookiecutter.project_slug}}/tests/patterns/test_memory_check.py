"""A memory limit of the kernel, whether a client that allocates survives, and the check."""

from pathlib import Path

import pytest

from patterns.checks import memory
from patterns.checks.memory import Limit, memory_check, read_limits
from patterns.health import run_once

from .namespace import memory_group, run_scenario

LIMIT = 200 * 2**20
ROWS = {
    "idle": (True, "pass", ""),
    "in use": (False, "fail", "MemoryLow"),
    "cached files": (True, "pass", ""),
    "killed": (False, "warn", "the kernel has killed a process"),
}


@pytest.mark.parametrize("scenario", ROWS)
def test_check_fails_when_clients_are_killed(scenario: str, tmp_path: Path) -> None:
    with memory_group(LIMIT) as group:
        outcome = run_scenario("memory_scenarios", group, scenario, tmp_path)
    check = outcome["check"]
    reported = check.get("error") or check["detail"]
    assert (outcome["client"], check["status"], reported) == ROWS[scenario], outcome
    assert check["data"]["max"] == LIMIT
    if scenario == "cached files":
        assert outcome["usage"] > 0.9 * LIMIT  # a check that counts them would fail


def test_group_without_a_limit_passes(tmp_path: Path) -> None:
    with memory_group(None) as group:
        outcome = run_scenario("memory_scenarios", group, "in use", tmp_path)
    assert outcome["client"]
    assert outcome["check"]["detail"] == "there is no memory limit"


def write_group(folder: Path, maximum: str) -> None:
    """Write the files of a control group of version 2, as the kernel documents them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{maximum}\n")
    (folder / "memory.current").write_text("95000000\n")
    (folder / "memory.stat").write_text("anon 1\nactive_file 20000000\ninactive_file 15000000\n")
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\n")


@pytest.mark.parametrize(("own", "parent"), [("100000000", "max"), ("max", "100000000")])
async def test_version_2_of_the_interface_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, parent: str
) -> None:
    root, own_group = tmp_path / "root", tmp_path / "cgroup"
    own_group.write_text("0::/service/worker\n")
    monkeypatch.setattr(memory, "CGROUPS", root)
    monkeypatch.setattr(memory, "OWN_GROUP", own_group)
    write_group(root / "service" / "worker", own)
    write_group(root / "service", parent)
    assert list(read_limits()) == [Limit(60_000_000, 100_000_000, 1)]
    result = await run_once(memory_check())
    assert result.data["in_use"] == 60_000_000
