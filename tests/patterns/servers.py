"""Runs a server that a copied check asks, and breaks it as the lines on its input say.

    python servers.py postgres|valkey FOLDER

It runs in the environment of the reference service, with the template folder on its path. It prints
the server's address, does `pause` and `resume` and prints each when done, and ends with its input.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from dev.postgres import Postgres
from dev.valkey import Valkey

KINDS = {kind.name: kind for kind in (Postgres, Valkey)}

if __name__ == "__main__":
    name, folder = sys.argv[1:]
    with KINDS[name](Path(folder)) as server:
        deeds: dict[str, Callable[[], None]] = {"pause": server.pause, "resume": server.resume}
        print(server.url, flush=True)  # noqa: T201 - the test reads it
        for line in map(str.strip, sys.stdin):
            deeds[line]()
            print(line, flush=True)  # noqa: T201 - the test reads it
