"""Plays the faults of one group, one after another, and writes a line of JSON for each.

    python -m faults.worker GROUP NAME...

It runs in the folder and the environment of the generated service.
"""

import asyncio
import json
import sys
from dataclasses import asdict

from .environment import running
from .harness import run
from .scenarios import GROUPS


async def play(group: str, *names: str) -> None:
    """Play them. After one that fell short the next begin on a rig of their own."""
    layout, faults = GROUPS[group]
    waiting = [fault for fault in faults if fault.name in names]
    while waiting:
        async with running(layout) as rig:
            well = True
            while waiting and well:
                result = await run(waiting.pop(0), rig, group)
                print(json.dumps(asdict(result)), flush=True)
                well = not result.shortfalls
            if not well:
                print(*rig.service.remarks(), sep="\n", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(play(*sys.argv[1:]))
