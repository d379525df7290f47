"""Runs an empty PostgreSQL until stdin is closed: `python database.py FOLDER` prints its URL."""

import sys
from pathlib import Path

from dev.postgres import Postgres

if __name__ == "__main__":
    with Postgres(Path(sys.argv[1])) as postgres:
        print(postgres.url, flush=True)  # noqa: T201 - the test reads it
        sys.stdin.read()
