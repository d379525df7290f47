"""Migrate a PostgreSQL server, and change its settings for a part of a test."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from dev.postgres import Postgres

from ..processes import wait_until


def migrate(postgres: Postgres, revision: str = "head") -> None:
    """Upgrade the schema to a revision, or downgrade it to `base`."""
    direction = "downgrade" if revision == "base" else "upgrade"
    command = [sys.executable, "-m", "alembic", direction, revision]
    subprocess.run(command, env={"DATABASE_URL": postgres.url}, check=True, timeout=60)


@contextlib.contextmanager
def setting(postgres: Postgres, name: str, value: str) -> Iterator[None]:
    """Change a setting of the server in a `with` block, and wait until its sessions use it.

    Commits wait for synchronous standbys only when the checkpointer has read the setting as well,
    which no session can see: wait for what such a commit does.
    """
    postgres.sql(f"ALTER SYSTEM SET {name} = '{value}'")
    try:
        postgres.sql("SELECT pg_reload_conf()")
        wait_until(lambda: postgres.sql(f"SHOW {name}") == value)
        yield
    finally:
        postgres.sql(f"ALTER SYSTEM RESET {name}")
        postgres.sql("SELECT pg_reload_conf()")
        wait_until(lambda: postgres.sql(f"SHOW {name}") != value)
