"""The check of the memory limit of the control group, at which the kernel kills the process."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..health import Check, CheckFailed, CheckResult, Status

CGROUPS, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
UNLIMITED = 2**60  # version 1 has a number near 2**63 for "no limit"
KILL_WARNING = 300.0  # seconds for which the check warns after the kernel has killed a process
IMPACT_REASON = "requests succeed until the limit is reached"


class MemoryLow(CheckFailed):
    """The group is near its limit. Cached files are not counted: the kernel can drop them."""


@dataclass(frozen=True)
class Limit:
    """The limit of one control group, in bytes, and what counts toward it."""

    in_use: int
    max: int
    kills: int


def memory_check(*, max_share: float = 0.9, name: str = "memory") -> Check:
    """Return the check that the memory in use is below a share of the limit.

    By default, a failure only warns: without this replica, the others need more memory.
    """
    known_kills: int | None = None
    warn_until = 0.0

    def check() -> CheckResult:
        nonlocal known_kills, warn_until
        limits = list(read_limits())
        if not limits:
            return CheckResult(detail="there is no memory limit")
        limit, kills = max(limits, key=lambda each: each.in_use / each.max), limits[0].kills
        now = time.monotonic()
        if known_kills is not None and kills > known_kills:
            warn_until = now + KILL_WARNING
        known_kills = kills
        data = {"in_use": limit.in_use, "max": limit.max, "kills": kills}
        if limit.in_use >= max_share * limit.max:
            raise MemoryLow("the memory in use is near the limit", **data)
        if now < warn_until:
            return CheckResult(Status.WARN, "the kernel has killed a process", data)
        return CheckResult(data=data)

    return Check(name, check, Status.WARN, IMPACT_REASON)


def read_limits() -> Iterator[Limit]:
    """Yield the limits of this process: of its group first, then of the groups around it."""
    for line in OWN_GROUP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = CGROUPS / controllers
        # In a container, the path can be one of the host. Its limit is then that of the root.
        group = root / path.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(root) and (limit := _read_limit(folder)):
                yield limit


def _read_limit(folder: Path) -> Limit | None:
    """Return the limit of one group in version 2 or 1 of the interface, or None if it has none."""
    try:
        if (folder / "memory.max").exists():
            maximum = (folder / "memory.max").read_text().strip()
            used, events = "memory.current", "memory.events"
        else:
            maximum = (folder / "memory.limit_in_bytes").read_text().strip()
            used, events = "memory.usage_in_bytes", "memory.oom_control"
        if maximum == "max" or int(maximum) > UNLIMITED:
            return None
        stat = _read_table(folder / "memory.stat")
        total = "total_" if "total_active_file" in stat else ""
        cached = stat[f"{total}active_file"] + stat[f"{total}inactive_file"]
        in_use = int((folder / used).read_text()) - cached
        return Limit(max(in_use, 0), int(maximum), _read_table(folder / events).get("oom_kill", 0))
    except FileNotFoundError:  # not a group with a memory controller
        return None


def _read_table(file: Path) -> dict[str, int]:
    """Read lines of a name and a number."""
    return {name: int(value) for name, value in map(str.split, file.read_text().splitlines())}
