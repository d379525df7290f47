"""A generated service, the servers that it depends on, and the baseline service: all real."""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from dev.grpc import Downstream
from dev.kafka import Kafka
from dev.ports import free_port
from dev.postgres import Postgres
from dev.process import Process
from dev.sentinel import Sentinels
from dev.server import Server
from dev.standby import Standby
from dev.valkey import Valkey

from .clients import Kind, client_mix
from .pooler import Pooler
from .probe_client import OK, Probe, send_probe, send_request
from .proxy import Proxy
from .small_disk import SmallDiskPostgres, SmallWalDiskPostgres

POOL = 3
"""Connections of the service's pool, with the overflow. A small pool fills with few requests."""
RECEIVER_TIMEOUT = 12
"""Seconds of silence after which a standby reconnects. After half of them it sends a request."""
DEFAULTS = {
    "SERVICE_ENVIRONMENT": "production",
    "SERVICE_HOST": "127.0.0.1",
    "SERVICE_DRAIN_DELAY": "1",
    "SERVICE_SHUTDOWN_TIMEOUT": "3",
    "DATABASE_POOL_SIZE": str(POOL - 1),
    "DATABASE_MAX_OVERFLOW": "1",
}
PLANTED = "zwerg7NASE-rbis7"
"""A secret in the settings. No output of the service may contain it."""
READY_TIMEOUT = 30.0
"""Seconds for the service to become ready: it takes one second unless the machine is very busy."""
BACKGROUND_TIMEOUT = 60.0
"""Seconds for background work to end after a fault."""

CHECK_CHANGE = re.compile(r'"time": "([^"]+)".*"message": "health check ([^"]+)"')
"""A log line about a check that changed."""

Layout = Literal[
    "direct", "small disk", "small WAL disk", "proxied", "pooler", "standby", "replica", "sentinel"
]
SERVERS: dict[str, Callable[[Path], Postgres]] = {
    "small disk": partial(SmallDiskPostgres, durable=True),
    "small WAL disk": SmallWalDiskPostgres,
}
"""The kind of PostgreSQL server that a layout has."""


class Environment:
    """What a fault is injected into.

    layout: what is between the service and its servers. `direct`: nothing. `small disk` and `small
    WAL disk`: nothing, and PostgreSQL has a disk that can be filled. With `small disk` it also
    flushes what it commits. `proxied`: a network that can be broken. `pooler`: PgBouncer. `standby`
    and `replica`: the service reads from one. `sentinel`: it finds Redis through Sentinel.
    """

    def __init__(self, layout: Layout, folder: Path) -> None:
        self.folder = folder
        self.layout = layout
        self.postgres = SERVERS.get(layout, Postgres)(folder / "postgres")
        # No delay: by default a primary waits 5 s for more replicas before it sends its data.
        self.valkey = Valkey(folder / "valkey", settings={"repl-diskless-sync-delay": "0"})
        self.kafka = Kafka(folder / "kafka")
        self.downstream = Downstream(folder / "downstream")
        self.standby = Standby(
            folder / "standby",
            self.postgres,
            settings={"wal_receiver_timeout": f"{RECEIVER_TIMEOUT}s"},
        )
        self.pooler = Pooler(folder / "pooler", self.postgres)
        self.replica: Valkey | None = None
        self.sentinels = Sentinels(folder / "sentinels")
        self.proxies: dict[str, Proxy] = {}
        self.variables: dict[str, str] = {}
        self.items: list[str] = []
        self.service = HttpProcess(folder / "service.log")
        self.baseline = HttpProcess(folder / "baseline.log")
        self.url_file = folder / "database-url"
        self._background: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        """Start the servers and the baseline service."""
        await asyncio.gather(
            *(asyncio.to_thread(server.start) for server in self._independent_servers())
        )
        await asyncio.to_thread(self._migrate)
        self.items = [await asyncio.to_thread(self._create_item) for _ in range(2)]
        if self.layout == "standby":
            await asyncio.to_thread(self.standby.start)
        if self.layout == "pooler":
            await asyncio.to_thread(self.pooler.start)
        if self.layout == "replica":
            link = {"replicaof": f"127.0.0.1 {self.valkey.port}"}
            self.replica = Valkey(self.folder / "replica", settings=link)
            await asyncio.to_thread(self.replica.start)
        if self.layout == "proxied":
            for name, server in (("postgres", self.postgres), ("redis", self.valkey)):
                self.proxies[name] = Proxy(server.port)
            self.proxies["silent"] = Proxy(self.postgres.port)
            for proxy in self.proxies.values():
                await proxy.start()
        self.variables = DEFAULTS | self._addresses()
        url = self.pooler.tls_url if self.layout == "pooler" else self.variables["DATABASE_URL"]
        self.url_file.write_text(url)
        await self._start_baseline()

    async def ensure_ready(self, settings: Mapping[str, str]) -> None:
        """Run the service with these settings over the default ones, and wait until it is ready.

        `{folder}` in a setting stands for the folder of the environment.
        Raises TimeoutError, with the end of the log, if it does not become ready.
        """
        own = {
            name: value.replace("{folder}", str(self.folder)) for name, value in settings.items()
        }
        variables = {**self.variables, **own}
        if self.service.variables != variables or not self.service.is_running:
            await asyncio.to_thread(self.service.stop)
            self.service.start_service(variables)
        try:
            await wait_until(self.service.passes, READY_TIMEOUT)
        except TimeoutError:
            status = self.service.exit_status
            state = "is not ready" if self.service.is_running else f"ended with status {status}"
            report = await self.service.verbose_report()
            log = "\n".join([*report, *self.service.logged_warnings()])
            raise TimeoutError(f"The service {state}. Its log:\n{log}") from None
        async with asyncio.timeout(READY_TIMEOUT):
            while (await send_probe(self.baseline.port, "/readyz")).status_code != 200:
                await self._start_baseline()  # it does not recover from every fault by itself
        await self._open_connections()

    async def _open_connections(self) -> None:
        """Let the service open as many connections as the clients need, before they are counted."""
        port, new_item = self.service.port, b'{"name": "opens connections"}'
        for _ in range(2 * POOL):
            await asyncio.gather(
                *(self.service.get(f"/items/{item}") for item in 2 * self.items),
                *(self.service.get(f"/items/{item}/stock") for item in self.items),
                *(send_request(port, "/items", "POST", new_item) for _ in range(POOL)),
            )

    def run_in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start work that continues during the fault and ends by itself."""
        self._background.append(asyncio.create_task(work))

    async def wait_for_background_work(self) -> None:
        """Wait until all background work has ended. Raises TimeoutError."""
        tasks, self._background = self._background, []
        async with asyncio.timeout(BACKGROUND_TIMEOUT):
            await asyncio.gather(*tasks)

    async def stop(self) -> None:
        """Stop everything, in any state."""
        for process in (self.service, self.baseline):
            await asyncio.to_thread(process.stop)
        for proxy in self.proxies.values():
            await proxy.stop()
        replicas = [self.replica] if self.replica else []
        servers = [*self._independent_servers(), self.standby, self.pooler, *replicas]
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in servers))

    async def database_connections(self) -> int:
        """Count the connections that the service has open to its database.

        Behind a pooler they are the pooler's, and the service's own count as open files.
        """
        if self.layout == "pooler":
            return 0
        server = self.standby if self.layout == "standby" else self.postgres
        query = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE usename = 'service' AND application_name <> 'baseline'"
        )
        return int(await asyncio.to_thread(server.sql, query))

    def new_clients(self) -> list[Kind]:
        """Return the kinds of requests that clients send to the service."""
        return client_mix(*self.items, writable=self.layout != "standby")

    def new_probes(self) -> dict[str, Probe]:
        """Return the probes of the service and of the baseline, by name."""
        service, baseline = self.service.port, self.baseline.port
        return {
            **{name: Probe(service, f"/health/{name}") for name in ("startup", "ready", "live")},
            **{name: Probe(baseline, f"/{name}") for name in ("healthz", "readyz")},
        }

    async def _start_baseline(self) -> None:
        await asyncio.to_thread(self.baseline.stop)
        arguments = ["-m", "faults.baseline", str(self.baseline.port)]
        self.baseline.start_python(arguments, self.variables)
        await wait_until_responds(self.baseline, "/healthz")

    def _independent_servers(self) -> list[Server]:
        """Return the servers that need no other server."""
        redis = self.sentinels if self.layout == "sentinel" else self.valkey
        return [self.postgres, redis, self.kafka, self.downstream]

    def _addresses(self) -> dict[str, str]:
        addresses = {server.variable: server.url for server in self._independent_servers()}
        if self.layout == "standby":
            addresses |= {"DATABASE_URL": self.standby.url, "DATABASE_ROLE": "standby"}
        if self.layout == "pooler":
            addresses |= {"DATABASE_URL": self.pooler.url, "DATABASE_PREPARED_STATEMENTS": "false"}
        if self.replica:
            addresses["REDIS_URL"] = self.replica.url
        for variable, name in (("DATABASE_URL", "postgres"), ("REDIS_URL", "redis")):
            if name in self.proxies:
                port = f":{self.proxies[name].port}/"
                addresses[variable] = re.sub(r":\d+/", port, addresses[variable])
        if url := addresses.get("REDIS_URL"):  # the default user accepts any password
            addresses["REDIS_URL"] = url.replace("://", f"://default:{PLANTED}@")
        return {**addresses, "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{PLANTED}"}

    def _create_item(self) -> str:
        return self.postgres.sql("INSERT INTO items (name) VALUES ('kept') RETURNING id")

    def _migrate(self) -> None:
        subprocess.run(
            [sys.executable, "-m", *self.postgres.setup],
            env={"DATABASE_URL": self.postgres.url},
            check=True,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )


class HttpProcess:
    """A Python process that serves HTTP. log: the file that receives its output."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.variables: dict[str, str] = {}
        self.port, self.management_port = free_port(), free_port()
        self._process: Process | None = None

    def start_service(self, variables: Mapping[str, str]) -> None:
        """Start the generated service with the extra routes of its own tests."""
        self.variables = dict(variables)
        ports = {"SERVICE_PORT": self.port, "SERVICE_MANAGEMENT_PORT": self.management_port}
        self.start_python(
            ["-m", "tests.faulty"],
            {**variables, **{name: str(port) for name, port in ports.items()}},
        )

    def start_python(self, arguments: list[str], variables: Mapping[str, str]) -> None:
        """Start Python with these arguments and environment variables."""
        path = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        with self.log.open("ab") as log:
            self._process = Process(
                [sys.executable, *arguments], output=log, environment={**path, **variables}
            )

    def stop(self) -> None:
        """Shut the process down if it is running."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()

    @property
    def is_running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.status is None

    @property
    def exit_status(self) -> int | None:
        """The exit status of a process that ended by itself."""
        return self._process.status if self._process else None

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process
        return self._process.pids[0]

    async def get(self, path: str) -> int:
        """Send a GET request, and return the status code of the response."""
        return (await send_request(self.port, path))[0]

    async def verbose_report(self) -> list[str]:
        """Return the lines of `ready?verbose` on the management port: one line per check."""
        _, body = await send_request(self.management_port, "/health/ready?verbose")
        return body.decode().splitlines()

    async def passes(self) -> bool:
        """Return whether every check passes. That of recent requests also sees the last fault."""
        port = self.management_port
        code, body = await send_request(port, "/health/ready?exclude=requests")
        return code == OK and json.loads(body)["status"] == "pass"

    async def metrics(self) -> str:
        """Return what the service shows to Prometheus."""
        return (await send_request(self.management_port, "/metrics"))[1].decode()

    async def pages(self) -> str:
        """Return what the management port shows to people and to Prometheus."""
        _, health = await send_request(self.management_port, "/health")
        return health.decode() + await self.metrics()

    def find_secrets(self, text: str) -> list[str]:
        """Return the lines that contain a password of the settings."""
        passwords = re.findall(r"://\w+:([^@]+)@", self.variables.get("DATABASE_URL", ""))
        secrets = [PLANTED, *passwords]
        return [line for line in text.splitlines() if any(each in line for each in secrets)]

    async def task_count(self) -> int:
        """Return the number of tasks in the event loop of the service."""
        code, body = await send_request(self.port, "/faults/tasks")
        return int(body) if code == 200 else -1

    def logged_warnings(self) -> list[str]:
        """Return the last lines of the log that are above level info or are not JSON."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line[:1000] for line in lines if '"level": "info"' not in line][-20:]

    def log_size(self) -> int:
        """Return the size of the log in bytes."""
        return self.log.stat().st_size

    def read_log(self, start: int) -> str:
        """Return the log from an offset on."""
        return self.log.read_bytes()[start:].decode(errors="replace")

    def check_changes(self, start: int) -> Iterator[tuple[float, str]]:
        """Yield when a check changed, in seconds since the epoch, and how, from an offset on."""
        with self.log.open("rb") as log:
            log.seek(start)
            for line in log:
                match = CHECK_CHANGE.search(line.decode(errors="replace"))
                if match:
                    yield datetime.fromisoformat(match[1]).timestamp(), match[2]

    def open_descriptors(self) -> int:
        """Return the number of open files and connections."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def connections_to(self, port: int) -> int:
        """Count the connections to a local port, also those that the server has closed.

        A pool notices that only before it uses the connection again.
        """
        table = Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]
        rows = (line.split() for line in table)
        sockets = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(f":{port:04X}")}
        return sum(_target(file) in sockets for file in Path(f"/proc/{self.pid}/fd").iterdir())


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # it has just been closed
        return ""


async def wait_until(condition: Callable[[], Awaitable[bool]], timeout: float) -> None:  # noqa: ASYNC109 - the callers' bound
    """Wait until a condition holds. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while not await condition():
            await asyncio.sleep(0.05)


async def wait_until_responds(process: HttpProcess, path: str) -> None:
    """Wait until a path is answered with 200. Raises TimeoutError."""

    async def responds() -> bool:
        return (await send_probe(process.port, path)).status_code == 200

    await wait_until(responds, READY_TIMEOUT)


@contextlib.asynccontextmanager
async def running_environment(layout: Layout) -> AsyncIterator[Environment]:
    """Run an environment in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        env = Environment(layout, Path(folder))
        try:
            await env.start()
            yield env
        finally:
            await env.stop()
