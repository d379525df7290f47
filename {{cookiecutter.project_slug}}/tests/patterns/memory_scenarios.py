"""Use memory in a control group, then ask a client and the check.

python -m tests.patterns.memory_scenarios GROUP SCENARIO FOLDER
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from patterns.checks.memory import memory_check
from patterns.health import Check, CheckFailed, run_once

MEGABYTE = 2**20
ALLOCATE = """
import sys
open("/proc/self/oom_score_adj", "w").write("1000")  # the kernel kills this process first
block = bytearray(b"x") * (int(sys.argv[1]) * 2**20)
"""


def allocate(megabytes: int) -> bool:
    """Serve a request in a process of the group. Return whether it survived."""
    command = [sys.executable, "-ISc", ALLOCATE, str(megabytes)]
    return subprocess.run(command, check=False).returncode == 0


def read_files(folder: Path) -> None:
    """Fill the group's memory with cached files, which are read twice."""
    for number in range(24):
        file = folder / f"file-{number}"
        file.write_bytes(os.urandom(10 * MEGABYTE))
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            for _ in range(3):
                opened.seek(0)
                while opened.read(MEGABYTE):
                    pass


async def ask(check: Check) -> dict[str, object]:
    try:
        result = await run_once(check)
    except CheckFailed as error:
        return {"status": "fail", "error": type(error).__name__, "data": error.data}
    return {"status": result.status, "detail": result.detail, "data": result.data}


def usage(group: Path) -> int:
    """Return the memory of the group, with cached files."""
    [file] = [*group.glob("memory.usage_in_bytes"), *group.glob("memory.current")]
    return int(file.read_text())


async def main(group: Path, scenario: str, folder: Path) -> dict[str, object]:
    check, block, survived = memory_check(), bytearray(), True
    await run_once(check)
    match scenario:
        case "in use":
            block = bytearray(b"x") * (184 * MEGABYTE)
        case "cached files":
            read_files(folder)
        case "killed":
            survived = allocate(250)
    outcome = {"usage": usage(group), "check": await ask(check), "block": len(block)}
    return outcome | {"client": allocate(40) and survived}


if __name__ == "__main__":
    own_group = Path(sys.argv[1])
    (own_group / "cgroup.procs").write_text(str(os.getpid()))
    result = asyncio.run(main(own_group, sys.argv[2], Path(sys.argv[3])))
    print(json.dumps(result))  # noqa: T201 - the test reads it
