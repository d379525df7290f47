"""Roll the pods of a service behind real proxies, and count the requests that their clients lose.

    python -m rolling.proxied POD.json OPTIONS

It runs in the folder of the generated service, with the service's packages, and prints the results
as JSON. POD.json is as for `python -m rolling`. OPTIONS has the fields of `Rolls`, as JSON. All
proxies run at the same time, in front of the same pods.

One more pod is the control: it is not replaced, and its clients use no proxy. If they lose a
request or wait long, the machine is too busy to tell why others are lost. The same holds if a pod
gets no answer from the database in time, or if its kubelet restarts it. Such a roll does not count.
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
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from dev.ports import free_port

from .environment import Environment, running_environment
from .manifest import Manifest
from .proxies import KINDS, PAGE, Proxy
from .proxy_clients import Clients, lost

PORTS = 6
"""Addresses that the proxies know: two pods, one that starts, and some that still shut down."""
BUSY_MACHINE = {
    "SERVICE_CONCURRENCY_LIMIT": "1000",
    "HEALTH_CHECK_TIMEOUT": "5",
    "DATABASE_POOL_SIZE": "4",
    "DATABASE_POOL_TIMEOUT": "9",
    "DATABASE_CONNECT_TIMEOUT": "9",
}
"""Settings with which the service does not protect itself if the machine has too little CPU time.

The adaptive limit would reject requests, checks would time out, and a new pod could not open all
its connections to the database in time.
"""
TOO_SLOW = re.compile(
    r'"time": "([^"]+)".*"message": "(dependency unavailable|health check .*fail)'
)
"""Log lines of pods that did not get an answer from the database in time."""
STEADY_LOAD = 1.0
"""Seconds of load before the first and after the last roll."""
MAX_CONTROL_DURATION = 2.0
"""Seconds that a request of the control can take."""
MARGIN = 3.0
"""Seconds before and after a roll in which nothing may disturb it."""


@dataclass(frozen=True)
class Rolls:
    """What to play.

    programs: the path of each proxy's program. retries: for each proxy of a kind, whether it has
    the retries of the page (else its defaults). rate: requests per second of each proxy's clients.
    drain: whether pods have the drain of the chart, or none. time_limit: seconds after which no
    further roll begins.
    """

    programs: dict[str, str]
    retries: Sequence[bool]
    rolls: int
    rate: float
    drain: bool
    time_limit: float = math.inf
    replicas: int = 2


@dataclass(frozen=True)
class Variant:
    """A running proxy. retries: whether it has those of the page."""

    proxy: Proxy
    retries: bool


@contextlib.asynccontextmanager
async def running_proxies(
    env: Environment, rolls: Rolls, ports: Sequence[int]
) -> AsyncIterator[list[Variant]]:
    """Run the proxies in a `with` block, and wait until each of them reaches a pod."""
    page = PAGE.read_text("utf-8")
    async with contextlib.AsyncExitStack() as stack:
        variants: list[Variant] = []
        for name, program in rolls.programs.items():
            for retries in rolls.retries:
                block = KINDS[name].block(page, retries=retries)
                if retries and block == KINDS[name].block(page, retries=False):
                    continue  # the page shows the proxy's defaults
                proxy = Proxy(KINDS[name], program, block, env.folder / f"{name}-{retries}", ports)
                stack.push_async_callback(asyncio.to_thread, proxy.stop)
                variants.append(Variant(proxy, retries))
        for variant in variants:
            await variant.proxy.wait_until_ready()
        yield variants


async def roll(env: Environment, manifest: Manifest, rolls: Rolls) -> dict[str, Any]:
    """Replace every pod some times under load, and return what each proxy's clients got."""
    manifest = dataclasses.replace(manifest, settings=manifest.settings | BUSY_MACHINE)
    if not rolls.drain:
        settings = manifest.settings | {"SERVICE_DRAIN_DELAY": "0"}
        manifest = dataclasses.replace(manifest, pre_stop=0, settings=settings)
    ports = [free_port() for _ in range(PORTS)]
    async with contextlib.AsyncExitStack() as deployments:
        other = await deployments.enter_async_context(env.deployed(manifest, replicas=1))
        deployed = env.deployed(manifest, replicas=rolls.replicas, ports=ports)
        deployment = await deployments.enter_async_context(deployed)
        async with running_proxies(env, rolls, ports) as variants:
            control = Clients("control", other.pods[0].port, rolls.rate)
            clients = [
                Clients(f"{each.proxy.name} {each.retries}", each.proxy.port, rolls.rate)
                for each in variants
            ]
            started = time.monotonic()
            async with contextlib.AsyncExitStack() as stack:
                for each in (control, *clients):
                    await stack.enter_async_context(each.running())
                await asyncio.sleep(STEADY_LOAD)
                times = [time.monotonic()]
                while len(times) <= rolls.rolls and times[-1] - started < rolls.time_limit:
                    await deployment.roll()
                    times.append(time.monotonic())
                await deployment.wait_for_deletions()
                await asyncio.sleep(STEADY_LOAD)
            times[-1] = time.monotonic()
        disturbances = [*_slow_requests(control), *_slow_answers(env.folder), *deployment.restarts]
        counted = [
            (start, end)
            for start, end in pairwise(times)
            if not any(start - MARGIN < each < end + MARGIN for each in disturbances)
        ]
        stored = Counter(env.postgres.sql("SELECT name FROM items").splitlines())
        return {
            "rolls": len(times) - 1,
            "counted": len(counted),
            "control": _summarize(control, counted),
            "seconds": round(times[-1] - started),
            "replaced": len(deployment.deleted),
            "exit_statuses": [each for pod in deployment.deleted for each in pod.exit_statuses],
            "kills": sum(pod.kills for pod in deployment.deleted),
            "proxies": [
                {
                    "proxy": variant.proxy.name,
                    "retries": variant.retries,
                    **_summarize(each, counted),
                    "missing": [name for name in each.created if not stored[name]],
                    "duplicates": [name for name in each.created if stored[name] > 1],
                }
                for variant, each in zip(variants, clients, strict=True)
            ],
        }


def _slow_requests(control: Clients) -> Iterator[float]:
    """Yield when the control lost a request or waited long, in seconds of `time.monotonic`."""
    for each in control.results:
        if each.lost or each.duration > MAX_CONTROL_DURATION:
            yield from (each.sent_at, each.sent_at + each.duration)


def _slow_answers(folder: Path) -> Iterator[float]:
    """Yield when pods got no answer from the database in time."""
    offset = time.monotonic() - time.time()
    for log in folder.glob("pod-*.log"):
        for stamp in TOO_SLOW.finditer(log.read_text("utf-8")):
            yield datetime.fromisoformat(stamp[1]).timestamp() + offset


def _summarize(clients: Clients, times: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Count the requests that were sent at these times."""
    sent = [
        each for each in clients.results if any(start <= each.sent_at < end for start, end in times)
    ]
    longest = max((each.duration for each in sent), default=0)
    return {"requests": len(sent), "lost": lost(sent), "longest": longest}


if __name__ == "__main__":
    pod, options = sys.argv[1:]
    with running_environment() as env:
        manifest = Manifest.from_pod(**json.loads(Path(pod).read_text("utf-8")))
        results = asyncio.run(roll(env, manifest, Rolls(**json.loads(options))))
        print(json.dumps(results))  # noqa: T201 - the caller reads it
