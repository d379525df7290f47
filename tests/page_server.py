"""Runs the reference service on its servers, and breaks it as the lines on its input say.

    python page_server.py FOLDER

It runs in the folder and the environment of the reference service, prints the management port as
soon as the service is ready, and `done` after each line. It ends with its input.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from dev.drill.environment import Stage, running
from dev.postgres import Postgres


def serve(stage: Stage) -> None:
    """Start the service again, and wait until its port is open."""
    stage.serve()
    stage.until(lambda: stage.look().live == "200")


DEEDS: dict[str, Callable[[Stage], object]] = {
    "freeze the database": lambda stage: stage[Postgres].pause(),
    "heal the database": lambda stage: stage[Postgres].resume(),
    "stop the service": lambda stage: stage.service.stop(),
    "serve again": serve,
}

if __name__ == "__main__":
    with running(Path(sys.argv[1])) as stage:
        print(stage.management_port, flush=True)  # noqa: T201 - the test reads it
        for line in sys.stdin:
            DEEDS[line.strip()](stage)
            print("done", flush=True)  # noqa: T201 - the test reads it
