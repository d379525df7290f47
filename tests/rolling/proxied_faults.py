"""Break what a service needs behind Envoy, and count what clients get.

    python -m rolling.proxied_faults POD.json OPTIONS

It runs in the folder of the generated service, with the service's packages, and prints the results
as JSON. OPTIONS has the fields of `Faults`, as JSON. All waiting times are those of a deployment.
"""

import asyncio
import contextlib
import dataclasses
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.ports import free_port

from .clock import wait_until
from .deployment import Deployment
from .environment import Environment, running_environment
from .manifest import Manifest
from .proxies import KINDS, PAGE, Proxy
from .proxy_clients import Clients

REPLICAS = 3
STEADY_LOAD = 3.0
"""Seconds of load before each fault and after its end."""
RECOVERY_TIMEOUT = 90.0
"""Seconds after a fault until all clients succeed again. An ejection lasts 30 s."""
ACTIVE, OUTLIER = "active health checks", "outlier detection"
VARIANTS = {"neither": (), ACTIVE: (ACTIVE,), OUTLIER: (OUTLIER,), "both": (ACTIVE, OUTLIER)}
OUTLIER_DETECTION = "    outlier_detection: {}"
"""With its defaults: five errors in a row eject an instance for 30 s, at most 10 % or one."""

Break = Callable[[Environment, Deployment], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Faults:
    """What to play. program: Envoy. seconds: of each fault. rate: requests/s of each Envoy."""

    program: str
    seconds: float
    rate: float


@contextlib.asynccontextmanager
async def database_down(env: Environment, _: Deployment) -> AsyncIterator[None]:
    """Shut the database down."""
    await asyncio.to_thread(env.postgres.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(env.postgres.start)


@contextlib.asynccontextmanager
async def database_frozen(env: Environment, _: Deployment) -> AsyncIterator[None]:
    """Freeze the database."""
    env.postgres.pause()
    try:
        yield
    finally:
        env.postgres.resume()


@contextlib.asynccontextmanager
async def cache_frozen(env: Environment, _: Deployment) -> AsyncIterator[None]:
    """Freeze the cache."""
    (cache,) = (server for server in env.servers if server.variable == "REDIS_URL")
    cache.pause()
    try:
        yield
    finally:
        cache.resume()


@contextlib.asynccontextmanager
async def pool_exhausted(env: Environment, _: Deployment) -> AsyncIterator[None]:
    """Lock the table of the items: each request keeps its connection until the pool is empty."""
    seconds = 10_000
    lock = f"BEGIN; LOCK TABLE items; SELECT pg_sleep({seconds})"
    locking = asyncio.create_task(asyncio.to_thread(_ignore_end, env, lock))
    try:
        yield
    finally:
        env.postgres.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE query LIKE '%pg_sleep({seconds})%' AND pid <> pg_backend_pid()"
        )
        await locking


def _ignore_end(env: Environment, statements: str) -> None:
    with contextlib.suppress(RuntimeError):
        env.postgres.sql(statements)


@contextlib.asynccontextmanager
async def process_frozen(_: Environment, deployment: Deployment) -> AsyncIterator[None]:
    """Freeze one of the replicas with SIGSTOP. Its kubelet restarts it when `live` has failed."""
    deployment.pods[0].process.pause()
    try:
        yield
    finally:
        deployment.pods[0].process.resume()


FAULTS: dict[str, Break] = {
    "database down": database_down,
    "database frozen": database_frozen,
    "cache frozen": cache_frozen,
    "table locked, pool exhausted": pool_exhausted,
    "one process frozen": process_frozen,
}


def envoy_configuration(page: str, ways: tuple[str, ...]) -> str:
    """Return the page's configuration of Envoy, with these ways of noticing a broken instance."""
    block = KINDS["Envoy"].block(page, retries=True)
    start, end = block.index("    health_checks:\n"), block.index("    load_assignment:\n")
    checks = block[start:end] if ACTIVE in ways else ""
    outlier = f"{OUTLIER_DETECTION}\n" if OUTLIER in ways else ""
    return f"{block[:start]}{checks}{outlier}{block[end:]}"


async def play(env: Environment, manifest: Manifest, faults: Faults) -> dict[str, Any]:
    """Play every fault, and return the outcomes by fault and variant."""
    page = PAGE.read_text("utf-8")
    ports = [free_port() for _ in range(REPLICAS)]
    results: dict[str, Any] = {}
    async with contextlib.AsyncExitStack() as stack:
        deployed = env.deployed(manifest, replicas=REPLICAS, ports=ports)
        deployment = await stack.enter_async_context(deployed)
        proxies = {}
        for name, ways in VARIANTS.items():
            block = envoy_configuration(page, ways)
            folder = env.folder / name
            proxy = Proxy(KINDS["Envoy"], faults.program, block, folder, ports, speedup=1)
            stack.push_async_callback(asyncio.to_thread, proxy.stop)
            await proxy.wait_until_ready()
            proxies[name] = proxy
        for fault, broken in FAULTS.items():
            results[fault] = await _play_one(env, deployment, proxies, broken, faults)
    return results


async def _play_one(
    env: Environment,
    deployment: Deployment,
    proxies: Mapping[str, Proxy],
    broken: Break,
    faults: Faults,
) -> dict[str, Any]:
    clients = {name: Clients(name, proxy.port, faults.rate) for name, proxy in proxies.items()}
    async with contextlib.AsyncExitStack() as stack:
        for each in clients.values():
            await stack.enter_async_context(each.running())
        await asyncio.sleep(STEADY_LOAD)
        started = time.monotonic()
        async with broken(env, deployment):
            await asyncio.sleep(faults.seconds)
        ended = time.monotonic()
        with contextlib.suppress(TimeoutError):
            await wait_until(lambda: _recovered(clients, ended), RECOVERY_TIMEOUT)
    return {name: _summarize(each, started, ended) for name, each in clients.items()}


def _recovered(clients: Mapping[str, Clients], ended: float) -> bool:
    """Return whether all clients have only succeeded for some seconds."""
    lost = [
        result.sent_at + result.duration
        for each in clients.values()
        for result in each.results
        if result.lost
    ]
    return time.monotonic() > max([ended, *lost]) + STEADY_LOAD


def _summarize(clients: Clients, started: float, ended: float) -> dict[str, Any]:
    """Count the outcomes of the requests that were sent during a fault."""
    sent = [each for each in clients.results if started <= each.sent_at < ended]
    last = [each.sent_at for each in clients.results if each.sent_at >= ended and each.lost]
    durations = sorted(each.duration for each in sent)
    return {
        "requests": len(sent),
        "outcomes": dict(Counter(each.outcome for each in sent if each.lost).most_common()),
        "p50": round(durations[len(durations) // 2], 2),
        "longest": round(durations[-1], 2),
        "lost_after": len(last),
        "recovered_after": round(max(last, default=ended) - ended, 1),
    }


if __name__ == "__main__":
    pod, options = sys.argv[1:]
    with running_environment() as env:
        manifest = Manifest.from_pod(**json.loads(Path(pod).read_text("utf-8")), speedup=1)
        settings = manifest.settings | {"SERVICE_CONCURRENCY_LIMIT": "1000"}
        manifest = dataclasses.replace(manifest, settings=settings)
        print(json.dumps(asyncio.run(play(env, manifest, Faults(**json.loads(options))))))  # noqa: T201 - the caller reads it
