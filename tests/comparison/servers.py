"""The servers that all applications use, and what breaks and repairs them."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.postgres import Postgres
from dev.valkey import Valkey


@dataclass(frozen=True)
class Servers:
    """A PostgreSQL server with the table of the applications, and a Valkey server."""

    postgres: Postgres
    valkey: Valkey

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the applications."""
        return {server.variable: server.url for server in (self.postgres, self.valkey)}

    def versions(self) -> dict[str, str]:
        """Return the versions of both servers."""
        valkey = self.valkey.info("server")["valkey_version"]
        return {"PostgreSQL": self.postgres.sql("SHOW server_version"), "Valkey": valkey}


@contextlib.contextmanager
def running_servers(folder: Path) -> Iterator[Servers]:
    """Run both servers in a `with` block."""
    with Postgres(folder / "postgres") as postgres, Valkey(folder / "valkey") as valkey:
        postgres.sql("CREATE TABLE items (name text); ALTER TABLE items OWNER TO service")
        yield Servers(postgres, valkey)


@dataclass(frozen=True)
class Fault:
    """What breaks the servers, and what repairs them."""

    name: str
    inject: Callable[[Servers], object]
    repair: Callable[[Servers], object]


def alter_system(setting: str) -> Callable[[Servers], object]:
    """Return an action that changes a setting of PostgreSQL, also for open sessions."""

    def act(servers: Servers) -> None:
        servers.postgres.sql(f"ALTER SYSTEM {setting}")
        servers.postgres.sql("SELECT pg_reload_conf()")

    return act


FAULTS = (
    Fault("PostgreSQL is stopped", lambda on: on.postgres.stop(), lambda on: on.postgres.start()),
    Fault("PostgreSQL is frozen", lambda on: on.postgres.pause(), lambda on: on.postgres.resume()),
    Fault(
        "PostgreSQL is read-only",
        alter_system("SET default_transaction_read_only = on"),
        alter_system("RESET default_transaction_read_only"),
    ),
    Fault(
        "PostgreSQL accepts no new connections, and the open ones work",
        lambda on: on.postgres.sql("ALTER DATABASE service CONNECTION LIMIT 1"),
        lambda on: on.postgres.sql("ALTER DATABASE service CONNECTION LIMIT -1"),
    ),
    Fault("Redis is frozen", lambda on: on.valkey.pause(), lambda on: on.valkey.resume()),
)
