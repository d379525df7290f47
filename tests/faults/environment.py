"""A generated service, the servers that it depends on, and two naive apps beside it: all real."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Any

from dev.grpc import Downstream
from dev.kafka import Kafka
from dev.ports import free_port
from dev.postgres import Postgres
from dev.process import Process
from dev.sentinel import Sentinels
from dev.server import Server
from dev.standby import Standby
from dev.valkey import Valkey

from .probe_client import Probe, ask, fetch
from .proxy import Proxy

POOL = 3
"""Connections of the service's pool: few, so that filling it takes few requests."""
RECEIVER_TIMEOUT = 12
"""Seconds of silence after which a standby connects anew; after half of them it asks."""
DEFAULTS = {
    "SERVICE_ENVIRONMENT": "production",
    "SERVICE_HOST": "127.0.0.1",
    "SERVICE_DRAIN_DELAY": "1",
    "SERVICE_SHUTDOWN_TIMEOUT": "3",
    "DATABASE_POOL_SIZE": str(POOL - 1),
    "DATABASE_MAX_OVERFLOW": "1",
}
PATIENCE = 30.0
"""Seconds for what takes a moment, unless the machine is very busy."""


class Rig:
    """What a fault is injected into.

    layout: what lies between the service and its servers: `plain` nothing, `proxied` a network that
    can be broken, `standby` and `replica` make it a reader, `sentinel` leads it to Redis.
    """

    def __init__(self, layout: str, folder: Path) -> None:
        self.folder = folder
        self.layout = layout
        self.postgres = Postgres(folder / "postgres")
        # At once: by default a primary waits 5 s for further replicas before it sends its data.
        self.valkey = Valkey(folder / "valkey", settings={"repl-diskless-sync-delay": "0"})
        self.kafka = Kafka(folder / "kafka")
        self.downstream = Downstream(folder / "downstream")
        self.standby = Standby(
            folder / "standby",
            self.postgres,
            settings={"wal_receiver_timeout": f"{RECEIVER_TIMEOUT}s"},
        )
        self.replica: Valkey | None = None
        self.sentinels = Sentinels(folder / "sentinels")
        self.proxies: dict[str, Proxy] = {}
        self.environment: dict[str, str] = {}
        self.service = Service(folder / "service.log")
        self.naive = Service(folder / "naive.log")
        self._going_on: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        """Start everything, and wait until the service is ready."""
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in self._first()))
        await asyncio.to_thread(self._migrate)
        if self.layout == "standby":
            await asyncio.to_thread(self.standby.start)
        if self.layout == "replica":
            link = {"replicaof": f"127.0.0.1 {self.valkey.port}"}
            self.replica = Valkey(self.folder / "replica", settings=link)
            await asyncio.to_thread(self.replica.start)
        if self.layout == "proxied":
            for name, server in (("postgres", self.postgres), ("redis", self.valkey)):
                self.proxies[name] = Proxy(server.port)
                await self.proxies[name].start()
        self.environment = DEFAULTS | self._addresses()
        await self._start_naive()

    async def ready(self, settings: Mapping[str, str]) -> None:
        """Have the service run with these settings over the usual ones, and wait until it is ready.

        Raises TimeoutError, with what it said, if it never is.
        """
        wanted = {**self.environment, **settings}
        if self.service.environment != wanted or not self.service.runs:
            await asyncio.to_thread(self.service.stop)
            self.service.serve(wanted)
        try:
            async with asyncio.timeout(PATIENCE):
                while (await ask(self.service.port, "/health/ready")).code != 200:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            state = f"with status {self.service.status}, " if not self.service.runs else ""
            log = "\n".join(self.service.remarks())
            raise TimeoutError(f"The service is not ready, {state}and wrote:\n{log}") from None
        async with asyncio.timeout(PATIENCE):
            while (await ask(self.naive.port, "/readyz")).code != 200:
                await self._start_naive()  # it does not heal by itself from everything
        await asyncio.gather(*(self.service.get("/items") for _ in range(2 * POOL)))

    def goes_on(self, what: Coroutine[Any, Any, Any]) -> None:
        """Let something go on beside the fault, until it ends by itself."""
        self._going_on.append(asyncio.create_task(what))

    async def quiet(self) -> None:
        """Wait until nothing goes on any more."""
        going_on, self._going_on = self._going_on, []
        await asyncio.gather(*going_on)

    async def stop(self) -> None:
        """Stop everything, broken or not."""
        for service in (self.service, self.naive):
            await asyncio.to_thread(service.stop)
        for proxy in self.proxies.values():
            await proxy.stop()
        servers = [*self._first(), self.standby, *([self.replica] if self.replica else [])]
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in servers))

    async def connections(self) -> int:
        """Count the connections that the service has open to its database."""
        server = self.standby if self.layout == "standby" else self.postgres
        query = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE usename = 'service' AND application_name <> 'naive'"
        )
        return int(await asyncio.to_thread(server.sql, query))

    @property
    def probes(self) -> dict[str, Probe]:
        """The probes that are watched, ours and the naive ones."""
        ours, naive = self.service.port, self.naive.port
        return {
            **{name: Probe(ours, f"/health/{name}") for name in ("startup", "ready", "live")},
            **{name: Probe(naive, f"/{name}") for name in ("healthz", "readyz")},
        }

    async def _start_naive(self) -> None:
        await asyncio.to_thread(self.naive.stop)
        self.naive.start(["-m", "faults.baseline", str(self.naive.port)], self.environment)
        while (await ask(self.naive.port, "/healthz")).code != 200:
            await asyncio.sleep(0.05)

    def _first(self) -> list[Server]:
        """The servers that need no other."""
        redis = self.sentinels if self.layout == "sentinel" else self.valkey
        return [self.postgres, redis, self.kafka, self.downstream]

    def _addresses(self) -> dict[str, str]:
        addresses = {server.variable: server.url for server in self._first()}
        if self.layout == "standby":
            addresses |= {"DATABASE_URL": self.standby.url, "DATABASE_ROLE": "standby"}
        if self.replica:
            addresses["REDIS_URL"] = self.replica.url
        for variable, name in (("DATABASE_URL", "postgres"), ("REDIS_URL", "redis")):
            if name in self.proxies:
                port = f":{self.proxies[name].port}/"
                addresses[variable] = re.sub(r":\d+/", port, addresses[variable])
        return addresses

    def _migrate(self) -> None:
        command = [sys.executable, "-m", *self.postgres.setup]
        subprocess.run(command, env={"DATABASE_URL": self.postgres.url}, check=True, stderr=-3)


class Service:
    """A process that answers HTTP. log: where it writes."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.environment: dict[str, str] = {}
        self.port, self.management = free_port(), free_port()
        self._process: Process | None = None

    def serve(self, environment: Mapping[str, str]) -> None:
        """Start the generated service, with the routes that its own tests misuse."""
        self.environment = dict(environment)
        ports = {"SERVICE_PORT": self.port, "SERVICE_MANAGEMENT_PORT": self.management}
        words = {name: str(port) for name, port in ports.items()}
        self.start(["-m", "tests.faulty"], {**environment, **words})

    def start(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        """Start Python with these arguments."""
        path = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        with self.log.open("ab") as log:
            self._process = Process(
                [sys.executable, *arguments], output=log, environment={**path, **environment}
            )

    def stop(self) -> None:
        """End it in order, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.status is None

    @property
    def status(self) -> int | None:
        """The exit status of a process that has ended by itself."""
        return self._process.status if self._process else None

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self._process
        return self._process.pids[0]

    async def get(self, path: str) -> int:
        """Return the status code that a request gets."""
        return (await fetch(self.port, path))[0]

    async def post(self, name: str) -> int:
        """Return the status code that creating an item gets."""
        return (await fetch(self.port, "/items", "POST", b'{"name": "%s"}' % name.encode()))[0]

    async def verbose(self) -> list[str]:
        """Return what the management port says of each check."""
        _, body = await fetch(self.management, "/health/ready?verbose")
        return body.decode().splitlines()

    async def tasks(self) -> int:
        """Return the number of tasks in its event loop."""
        code, body = await fetch(self.port, "/faults/tasks")
        return int(body) if code == 200 else -1

    def remarks(self) -> list[str]:
        """Return the last warnings and errors in its log, and all that is no log line."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line[:1000] for line in lines if '"level": "info"' not in line][-20:]

    def descriptors(self) -> int:
        """Return the number of its open files and connections."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


@contextlib.asynccontextmanager
async def running(layout: str) -> AsyncIterator[Rig]:
    """Run a rig in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        rig = Rig(layout, Path(folder))
        try:
            await rig.start()
            yield rig
        finally:
            await rig.stop()
