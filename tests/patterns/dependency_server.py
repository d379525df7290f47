"""Run a server for a copied check, and break it on request.

    python dependency_server.py postgres|valkey|mariadb|nats|rabbitmq FOLDER

It runs with the packages of the reference service, and with the template folder on the path. It
prints the address of the server. For each line `pause` or `resume` on its input, it does that and
prints the line. It stops the server at the end of its input.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.patterns.mariadb import MariaDB
from tests.patterns.nats_server import Nats
from tests.patterns.rabbitmq import RabbitMQ

SERVERS = {server.name: server for server in (Postgres, Valkey, MariaDB, Nats, RabbitMQ)}

if __name__ == "__main__":
    name, folder = sys.argv[1:]
    with SERVERS[name](Path(folder)) as server:
        actions: dict[str, Callable[[], None]] = {"pause": server.pause, "resume": server.resume}
        print(server.url, flush=True)  # noqa: T201 - the test reads it
        for line in map(str.strip, sys.stdin):
            actions[line]()
            print(line, flush=True)  # noqa: T201 - the test reads it
