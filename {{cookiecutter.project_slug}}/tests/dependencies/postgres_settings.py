"""Settings of PostgreSQL, changed for a part of a test."""

import contextlib
from collections.abc import Iterator

from dev.postgres import Postgres

from ..processes import wait_until


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
