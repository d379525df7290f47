"""Run the faults of one group in sequence, and print one line of JSON for each.

    python -m faults.worker GROUP NAME...

It runs in the folder of the generated service, with the service's packages.
"""

import asyncio
import json
import sys
from dataclasses import asdict

from .environment import running_environment
from .harness import run_fault
from .scenarios import GROUPS


async def run_faults(group: str, *names: str) -> None:
    """Run the named faults. After an error, continue in a new environment."""
    layout, faults = GROUPS[group]
    remaining = [fault for fault in faults if fault.name in names]
    while remaining:
        async with running_environment(layout) as env:
            passed = True
            while remaining and passed:
                result = await run_fault(remaining.pop(0), env, group)
                print(json.dumps(asdict(result)), flush=True)
                passed = not result.errors
            if not passed:
                print(*env.service.logged_warnings(), sep="\n", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(run_faults(*sys.argv[1:]))
