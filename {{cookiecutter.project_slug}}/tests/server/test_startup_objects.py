"""The garbage collector leaves out what exists before the first request."""

import subprocess
import sys

COUNT_OBJECTS = """
import gc
from reference_service import __main__
from reference_service.server import serve as server
async def serve(*_):
    print(gc.get_freeze_count(), len(gc.get_objects()))
server._serve = serve
__main__.main()
"""


def test_startup_objects_are_frozen_in_the_garbage_collector(
    environment: dict[str, str],
) -> None:
    """Scanning them takes tens of milliseconds, in which no request is answered."""
    ended = subprocess.run(
        [sys.executable, "-c", COUNT_OBJECTS],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    frozen, collected = map(int, ended.stdout.splitlines()[-1].split())
    assert frozen > 50 * collected
