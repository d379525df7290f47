"""The servers that a deployment uses, and the deployment itself."""

import contextlib
import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path

from dev.postgres import Postgres
from dev.server import Server
from dev.servers import SERVERS

from .deployment import Deployment
from .manifest import Manifest

REPLICAS = 3
SETUP_TIMEOUT = 120.0
SLOW_INSERTS = """
CREATE FUNCTION sleep_on_insert() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(1.5); RETURN NEW; END';
CREATE TRIGGER sleep_on_insert BEFORE INSERT ON items FOR EACH ROW
    WHEN (NEW.name LIKE 'slow %') EXECUTE FUNCTION sleep_on_insert();
"""


@dataclasses.dataclass(frozen=True)
class Environment:
    """The servers that a deployment uses, and the folder for its logs."""

    servers: Sequence[Server]
    postgres: Postgres
    addresses: dict[str, str]
    folder: Path

    @contextlib.asynccontextmanager
    async def deployed(
        self,
        manifest: Manifest,
        changes_of: Callable[[int], Mapping[str, str]] = lambda _: {},
        *,
        replicas: int = REPLICAS,
        ports: Sequence[int] = (),
    ) -> AsyncIterator[Deployment]:
        """Deploy the service in a `with` block.

        changes_of: changed variables of the nth pod. ports: as for `Deployment`.
        """

        def environment_of(number: int) -> dict[str, str]:
            return {**self.addresses, **changes_of(number)}

        deployment = Deployment(manifest, environment_of, self.folder, ports)
        try:
            await deployment.start(replicas)
            yield deployment
        finally:
            await deployment.stop()


@contextlib.contextmanager
def running_environment() -> Iterator[Environment]:
    """Run new servers in a temporary folder."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rolling-")))
        servers = [stack.enter_context(kind(folder / kind.name)) for kind in SERVERS]
        addresses = {server.variable: server.url for server in servers}
        for server in servers:
            if server.setup:
                subprocess.run(
                    [sys.executable, "-m", *server.setup],
                    env=addresses,
                    check=True,
                    stderr=subprocess.DEVNULL,
                    timeout=SETUP_TIMEOUT,
                )
        (postgres,) = (server for server in servers if isinstance(server, Postgres))
        postgres.sql(SLOW_INSERTS)
        yield Environment(servers, postgres, addresses, folder)
