"""An outage of the database under steady load: what clients get, and how long it takes to recover.

    python -m rolling.outage POD.json OPTIONS

It runs in the folder of the generated service, with the service's packages, and prints the results
as JSON. POD.json is as for `python -m rolling`. OPTIONS has the fields of `Outage`, as JSON.
"""

import asyncio
import contextlib
import dataclasses
import json
import math
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.probe_client import send_request
from faults.proxy import Proxy

from .clock import wait_until
from .deployment import Deployment
from .environment import REPLICAS, Environment, running_environment
from .load import ClientKind, Load, Result
from .manifest import Manifest

PATIENCE = 15.0
"""Seconds that clients wait: longer than the service's own timeouts, to see how it responds."""
STEADY_LOAD = 5.0
"""Seconds of load before the outage, and without a failed request after it."""
DETECTION = 10.0
"""Seconds in which the outage is detected and the endpoints change."""
RECOVERY_TIMEOUT = 120.0
CLIENTS = 6
"""Clients of each kind. Each keeps connections of its own."""
DATABASE, CACHE, NOTHING = "database", "cache", "nothing"
"""What requests need."""
FROZEN, STOPPED, CUT_OFF = "frozen", "stopped", "cut off"


@dataclass(frozen=True)
class Outage:
    """An outage. seconds: how long it lasts. speedup: divisor of Kubernetes' waiting times.

    kind: `FROZEN` and `STOPPED` affect the database of all replicas, `CUT_OFF` the network between
    the first replica and the database. settings: of the service, over those of its chart.
    """

    kind: str
    settings: dict[str, str]
    seconds: float = 60.0
    speedup: float = 1.0


@contextlib.asynccontextmanager
async def freeze(env: Environment, _: Proxy) -> AsyncIterator[None]:
    """Freeze the database: connections stay open, new ones are accepted, nothing responds."""
    env.postgres.pause()
    try:
        yield
    finally:
        env.postgres.resume()


@contextlib.asynccontextmanager
async def stop(env: Environment, _: Proxy) -> AsyncIterator[None]:
    """Shut the database down: its host refuses connections."""
    await asyncio.to_thread(env.postgres.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(env.postgres.start)


@contextlib.asynccontextmanager
async def cut_off(_: Environment, proxy: Proxy) -> AsyncIterator[None]:
    """Drop all packets between the first replica and the database."""
    proxy.drop_traffic()
    try:
        yield
    finally:
        proxy.repair()


KINDS: dict[str, Callable[[Environment, Proxy], AbstractAsyncContextManager[None]]] = {
    FROZEN: freeze,
    STOPPED: stop,
    CUT_OFF: cut_off,
}


def clients(cached_item: str) -> list[ClientKind]:
    """Return the clients, named for what their requests need. cached_item: the path of an item."""
    return [
        ClientKind(
            group_name(needs, keep_alive=keep_alive),
            CLIENTS,
            CLIENTS / per_second,
            keep_alive,
            creates,
            path,
        )
        for keep_alive in (False, True)
        for needs, per_second, creates, path in (
            (DATABASE, 10, "", "/items?limit=5"),
            (DATABASE, 5, "item", ""),
            (CACHE, 5, "", cached_item),
            (NOTHING, 5, "", "/openapi.json"),
        )
    ]


def group_name(needs: str, *, keep_alive: bool) -> str:
    """Return the name of the requests that are counted together."""
    return f"{needs}, {'reused' if keep_alive else 'new'} connections"


async def run(env: Environment, manifest: Manifest, outage: Outage) -> dict[str, Any]:
    """Play an outage, and return what clients, endpoints and probes showed.

    Raises TimeoutError if not every replica becomes an endpoint again, or if requests go on
    failing.
    """
    proxy = Proxy(env.postgres.port)
    await proxy.start()
    variable = env.postgres.variable
    through_proxy = {variable: re.sub(r":\d+/", f":{proxy.port}/", env.addresses[variable])}
    cut = outage.kind == CUT_OFF
    try:
        async with env.deployed(
            manifest, lambda number: through_proxy if cut and number == 0 else {}
        ) as deployment:
            return await _run(env, proxy, deployment, outage)
    finally:
        await proxy.stop()


async def _run(
    env: Environment, proxy: Proxy, deployment: Deployment, outage: Outage
) -> dict[str, Any]:
    service, pods = deployment.service, deployment.pods
    pids = [pod.pid for pod in pods]
    load = Load(service.connect, clients(await _create_item(pods[0].port)), PATIENCE)
    async with load.running():
        await asyncio.sleep(STEADY_LOAD)
        for pod in pods:
            pod.live_codes.clear()
        service.changes.clear()
        begin = time.monotonic()
        async with KINDS[outage.kind](env, proxy):
            await asyncio.sleep(outage.seconds)
            endpoints = len(service.endpoints)
        end = time.monotonic()
        await wait_until(
            lambda: len(service.endpoints) == REPLICAS and _settled(load.results, end),
            RECOVERY_TIMEOUT,
        )
    changes = [(at - begin, number) for at, number in service.changes]
    detected_after = max([DETECTION, *(at for at, _ in changes if at < outage.seconds)])
    failures = (each.sent_at for each in load.results if not each.succeeded)
    return {
        "before": _by_group(load.results, 0.0, begin),
        "detection": _by_group(load.results, begin, begin + detected_after),
        "detected": _by_group(load.results, begin + detected_after, end),
        "changes": [(round(at, 1), number) for at, number in changes],
        "endpoints": endpoints,
        "recovered_after": round(max(end, *failures) - end, 1),
        "live_codes": sorted({code for pod in pods for code in pod.live_codes}),
        "restarts": sum(pod.restarts for pod in pods),
        "same_processes": pids == [pod.pid for pod in pods],
    }


async def _create_item(port: int) -> str:
    """Create an item, and return its path."""
    status, body = await send_request(port, "/items", "POST", b'{"name": "cached"}')
    if status != 201:
        raise RuntimeError(f"POST /items was answered {status}")
    return f"/items/{json.loads(body)['id']}"


def _settled(results: Sequence[Result], end: float) -> bool:
    """Return whether the outage and the last failed request ended some seconds ago."""
    failures = (each.sent_at + each.duration for each in results if not each.succeeded)
    return time.monotonic() - max(end, *failures) > STEADY_LOAD


def _by_group(results: Sequence[Result], since: float, until: float) -> dict[str, Any]:
    """Summarize the requests that were sent in this time, by the name of their clients."""
    sent = [each for each in results if since <= each.sent_at < until]
    names = sorted({each.kind.name for each in sent})
    return {name: summarize([each for each in sent if each.kind.name == name]) for name in names}


def summarize(results: Sequence[Result]) -> dict[str, Any]:
    """Count the outcomes of requests, and return percentiles of their durations in seconds."""
    outcomes = Counter(
        f"{each.outcome} with Retry-After" if each.retry_after else each.outcome for each in results
    )
    durations = sorted(each.duration for each in results)
    return {
        "requests": len(results),
        "succeeded": sum(each.succeeded for each in results),
        "outcomes": dict(outcomes.most_common()),
        **{name: percentile(durations, part) for name, part in (("p50", 0.5), ("p99", 0.99))},
        "longest": percentile(durations, 1.0),
    }


def percentile(ordered: Sequence[float], part: float) -> float | None:
    """Return the smallest value that is not exceeded by this part of all, or None."""
    return round(ordered[math.ceil(part * len(ordered)) - 1], 3) if ordered else None


if __name__ == "__main__":
    pod, options = sys.argv[1:]
    outage = Outage(**json.loads(options))
    with running_environment() as env:
        manifest = Manifest.from_pod(
            **json.loads(Path(pod).read_text("utf-8")), speedup=outage.speedup
        )
        manifest = dataclasses.replace(manifest, settings=manifest.settings | outage.settings)
        print(json.dumps(asyncio.run(run(env, manifest, outage))))  # noqa: T201 - the caller reads it
