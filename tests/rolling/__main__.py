"""Plays a scenario on real servers, and prints what was seen as JSON.

    python -m rolling SCENARIO POD.json

It runs in the folder and the environment of the generated service. POD.json holds the `spec` of a
pod, and the `settings` of the service in it.
"""

import asyncio
import contextlib
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from dev.postgres import Postgres
from dev.servers import SERVERS

from .clock import until
from .deployment import Deployment
from .load import Load
from .manifest import Manifest

REPLICAS = 3
ROUNDS = 7
CALM = 1.0
"""Seconds of load before the first and after the last pod goes."""
SLOWNESS = """
CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(1.5); RETURN NEW; END';
CREATE TRIGGER be_slow BEFORE INSERT ON items FOR EACH ROW
    WHEN (NEW.name LIKE 'slow %') EXECUTE FUNCTION be_slow();
"""


@dataclasses.dataclass(frozen=True)
class Stage:
    """Where a deployment runs: its servers, and a folder for its logs."""

    postgres: Postgres
    addresses: dict[str, str]
    folder: Path

    @contextlib.asynccontextmanager
    async def deployed(self, manifest: Manifest) -> AsyncIterator[Deployment]:
        """Deploy the service, until the end of the block."""
        deployment = Deployment(manifest, self.addresses, self.folder)
        try:
            await deployment.start(REPLICAS)
            yield deployment
        finally:
            await deployment.stop()


async def roll_safely(stage: Stage, manifest: Manifest) -> dict[str, Any]:
    """Replace every replica under load, as the chart has it."""
    return await _roll(stage, manifest, ROUNDS)


async def roll_carelessly(stage: Stage, manifest: Manifest) -> dict[str, Any]:
    """Replace every replica as most services leave: at once."""
    settings = manifest.settings | {"SERVICE_DRAIN_DELAY": "0"}
    return await _roll(stage, dataclasses.replace(manifest, pre_stop=0, settings=settings), 1)


async def _roll(stage: Stage, manifest: Manifest, rounds: int) -> dict[str, Any]:
    started = time.monotonic()
    async with stage.deployed(manifest) as deployment:
        load = Load(deployment.service.connect)
        async with load.running():
            await asyncio.sleep(CALM)
            for _ in range(rounds):
                await deployment.roll()
            await deployment.settle()
            await asyncio.sleep(CALM)
        there = Counter(stage.postgres.sql("SELECT name FROM items").splitlines())
        return {
            "seconds": round(time.monotonic() - started),
            "asked": load.asked,
            "lost": load.lost,
            "crossed": load.crossed,
            "created": len(load.created),
            "missing": [name for name in load.created if name not in there],
            "repeated": [name for name, times in there.items() if times > 1],
            "fewest": deployment.service.fewest,
            "statuses": [status for pod in deployment.deleted for status in pod.statuses],
            "killed": sum(pod.killed for pod in deployment.deleted),
            "restarts": sum(pod.restarts for pod in (*deployment.deleted, *deployment.pods)),
            "logged": list(_remarks(stage.folder)),
        }


def _remarks(folder: Path) -> Iterator[str]:
    """Yield what the processes have logged beside requests and their daily business."""
    for log in folder.glob("pod-*.log"):
        for line in log.read_text().splitlines():
            if '"level": "info"' not in line and '"message": "request"' not in line:
                yield line


async def freeze(stage: Stage, manifest: Manifest) -> dict[str, Any]:
    """Freeze the database for longer than `live` may fail, and then one process for good."""
    async with stage.deployed(manifest) as deployment:
        service, pods = deployment.service, deployment.pods
        before = [pod.pid for pod in pods]
        stage.postgres.pause()
        for pod in pods:
            pod.live.clear()
        emptied = await until(lambda: not service.endpoints)
        enough = 2 * manifest.live.failures
        await until(lambda: all(len(pod.live) >= enough for pod in pods))
        live = [code for pod in pods for code in pod.live]
        stage.postgres.resume()
        filled = await until(lambda: len(service.endpoints) == REPLICAS)
        seen = {
            "emptied": emptied,
            "live": live,
            "filled": filled,
            "restarts": sum(pod.restarts for pod in pods),
            "same": before == [pod.pid for pod in pods],
        }
        wedged, *others = pods
        wedged.process.pause()
        await until(lambda: wedged.restarts and wedged.ready)
        return seen | {
            "wedged": wedged.restarts,
            "killed": wedged.killed,
            "others": sum(pod.restarts for pod in others),
        }


@contextlib.contextmanager
def staged() -> Iterator[Stage]:
    """Run new servers in a temporary folder."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rolling-")))
        servers = [stack.enter_context(kind(folder / kind.name)) for kind in SERVERS]
        addresses = {server.variable: server.url for server in servers}
        for server in servers:
            if server.setup:
                setup = [sys.executable, "-m", *server.setup]
                subprocess.run(setup, env=addresses, check=True, stderr=subprocess.DEVNULL)
        (postgres,) = (server for server in servers if isinstance(server, Postgres))
        postgres.sql(SLOWNESS)
        yield Stage(postgres, addresses, folder)


SCENARIOS: dict[str, Callable[[Stage, Manifest], Coroutine[None, None, dict[str, Any]]]] = {
    "safely": roll_safely,
    "carelessly": roll_carelessly,
    "frozen": freeze,
}

if __name__ == "__main__":
    scenario, pod = sys.argv[1:]
    with staged() as stage:
        manifest = Manifest.of(**json.loads(Path(pod).read_text("utf-8")))
        seen = asyncio.run(SCENARIOS[scenario](stage, manifest))
        print(json.dumps(seen))  # noqa: T201 - the test reads it
