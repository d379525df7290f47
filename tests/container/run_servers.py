"""Runs a PostgreSQL and a Valkey: `python run_servers.py FOLDER` prints their variables as JSON.

Each line of its input is a command, for example `pause postgres` or `resume valkey`. The response
is an empty line. The servers end with its input.
"""

import json
import sys
from pathlib import Path

from dev.postgres import Postgres
from dev.server import Server
from dev.valkey import Valkey


def main(folder: Path) -> None:
    """Run the servers until the end of the input."""
    with Postgres(folder / "postgres") as postgres, Valkey(folder / "valkey") as valkey:
        servers: dict[str, Server] = {server.name: server for server in (postgres, valkey)}
        write(json.dumps({server.variable: server.url for server in servers.values()}))
        for line in sys.stdin:
            action, name = line.split()
            getattr(servers[name], action)()
            write("")


def write(line: str) -> None:
    """Write a line that the tests read."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
