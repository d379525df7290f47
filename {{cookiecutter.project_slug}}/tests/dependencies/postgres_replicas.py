"""Many processes that check one database, as the replicas of a service do, without requests.

    DATABASE_URL=... python -m tests.dependencies.postgres_replicas COUNT

Prints one line for each attempt: the seconds since the epoch, the process, the check, its status.
Ends, with all processes, when stdin is closed. SIGUSR1 stands for requests that fail in every
process at the same moment: each brings its attempts forward.
"""

import asyncio
import os
import signal
import sys
import time

from reference_service.dependencies.postgres import (
    Postgres,
    PostgresSettings,
)
from reference_service.environment import read_section
from reference_service.health import Options, Registry


async def check_database() -> None:
    """Run the checks of the database until the process is ended."""
    postgres = Postgres(read_section(PostgresSettings))
    registry = Registry(postgres.checks(), Options())
    attempts = dict.fromkeys(registry.monitors, 0)

    def print_attempts() -> None:
        for name, monitor in registry.monitors.items():
            state = monitor.state
            if state.attempts > attempts[name]:
                attempts[name] = state.attempts
                line = f"{time.time()} {os.getpid()} {name} {state.status}\n"
                os.write(1, line.encode())  # at once, so that lines of processes do not mix

    registry.on_result(print_attempts)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, registry.recheck)
    await registry.start()
    await asyncio.Event().wait()


def main() -> None:
    """Start the processes. Starting one costs no import, so they start at the same time."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    pids = []
    for _ in range(int(sys.argv[1])):
        if (pid := os.fork()) == 0:
            asyncio.run(check_database())
        pids.append(pid)
    sys.stdin.read()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
