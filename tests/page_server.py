"""Runs the reference service and its servers, and performs the actions that its input names.

    python page_server.py FOLDER

It must run in the folder and the environment of the reference service. It prints the management
port when the service is ready, and `done` after each action. It exits at the end of its input.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from dev.drill.environment import Stage, running
from dev.postgres import Postgres


def start_service(stage: Stage) -> None:
    """Start the service, and wait until it is live."""
    stage.serve()
    stage.until(lambda: stage.look().live == "200")


ACTIONS: dict[str, Callable[[Stage], object]] = {
    "freeze the database": lambda stage: stage[Postgres].pause(),
    "resume the database": lambda stage: stage[Postgres].resume(),
    "stop the service": lambda stage: stage.service.stop(),
    "start the service": start_service,
}

if __name__ == "__main__":
    with running(Path(sys.argv[1])) as stage:
        print(stage.management_port, flush=True)  # noqa: T201 - the test reads it
        for line in sys.stdin:
            ACTIONS[line.strip()](stage)
            print("done", flush=True)  # noqa: T201 - the test reads it
