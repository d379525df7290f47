"""Runs the reference service and its servers, and performs the actions that its input names.

    python page_server.py FOLDER

It must run in the folder and the environment of the reference service. It prints the management
port when the service is ready, and `done` after each action. It exits at the end of its input.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from dev.drill.environment import Environment, running_environment
from dev.postgres import Postgres


def start_service(environment: Environment) -> None:
    """Start the service, and wait until it is live."""
    environment.start_service()
    environment.until(lambda: environment.snapshot().live == "200")


ACTIONS: dict[str, Callable[[Environment], object]] = {
    "freeze the database": lambda environment: environment[Postgres].pause(),
    "resume the database": lambda environment: environment[Postgres].resume(),
    "stop the service": lambda environment: environment.service.stop(),
    "start the service": start_service,
}

if __name__ == "__main__":
    with running_environment(Path(sys.argv[1])) as environment:
        print(environment.management_port, flush=True)  # noqa: T201 - the test reads it
        for line in sys.stdin:
            ACTIONS[line.strip()](environment)
            print("done", flush=True)  # noqa: T201 - the test reads it
