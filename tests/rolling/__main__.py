"""Run a scenario on real servers, and print the results as JSON.

    python -m rolling POD.json SCENARIO

It runs in the folder of the generated service, with the service's packages. POD.json contains the
`spec` of a pod, and the `settings` of the service in it.
"""

import asyncio
import contextlib
import dataclasses
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from .clock import wait_until
from .environment import REPLICAS, Environment, running_environment
from .load import Load
from .manifest import Manifest

ROLLS = 7
STEADY_LOAD = 1.0
"""Seconds of load before the first and after the last pod is deleted."""
BROKEN_ROLL_TIMEOUT = 30.0
"""Seconds until a roll is given up whose new pods do not become ready."""


async def roll_with_drain(env: Environment, manifest: Manifest) -> dict[str, Any]:
    """Replace every replica under load, as the chart specifies."""
    return await _roll(env, manifest, ROLLS)


async def roll_without_drain(env: Environment, manifest: Manifest) -> dict[str, Any]:
    """Replace every replica under load, without `preStop` and without a drain delay."""
    settings = manifest.settings | {"SERVICE_DRAIN_DELAY": "0"}
    return await _roll(env, dataclasses.replace(manifest, pre_stop=0, settings=settings), 1)


async def _roll(env: Environment, manifest: Manifest, rolls: int) -> dict[str, Any]:
    started = time.monotonic()
    async with env.deployed(manifest) as deployment:
        load = Load(deployment.service.connect)
        async with load.running():
            await asyncio.sleep(STEADY_LOAD)
            for _ in range(rolls):
                await deployment.roll()
            await deployment.wait_for_deletions()
            await asyncio.sleep(STEADY_LOAD)
        stored = Counter(env.postgres.sql("SELECT name FROM items").splitlines())
        pods = (*deployment.deleted, *deployment.pods)
        return {
            "seconds": round(time.monotonic() - started),
            "requests": load.requests,
            "failures": load.failures,
            "retried": load.retried,
            "created": len(load.created),
            "missing": [name for name in load.created if name not in stored],
            "duplicates": [name for name, count in stored.items() if count > 1],
            "min_endpoints": deployment.service.min_endpoints,
            "exit_statuses": [each for pod in deployment.deleted for each in pod.exit_statuses],
            "kills": sum(pod.kills for pod in deployment.deleted),
            "restarts": sum(pod.restarts for pod in pods),
            "warnings": list(_logged_warnings(env.folder)),
        }


def _logged_warnings(folder: Path) -> Iterator[str]:
    """Yield the log lines above level info, without those about requests."""
    for log in folder.glob("pod-*.log"):
        for line in log.read_text().splitlines():
            if '"level": "info"' not in line and '"message": "request"' not in line:
                yield line


async def freeze(env: Environment, manifest: Manifest) -> dict[str, Any]:
    """Freeze the database for longer than `live` may fail, then freeze one process for good."""
    async with env.deployed(manifest) as deployment:
        service, pods = deployment.service, deployment.pods
        pids = [pod.pid for pod in pods]
        env.postgres.pause()
        for pod in pods:
            pod.live_codes.clear()
        detected_after = await wait_until(lambda: not service.endpoints)
        enough = 2 * manifest.live.failure_threshold
        await wait_until(lambda: all(len(pod.live_codes) >= enough for pod in pods))
        live_codes = [code for pod in pods for code in pod.live_codes]
        env.postgres.resume()
        recovered_after = await wait_until(lambda: len(service.endpoints) == REPLICAS)
        database_frozen = {
            "detected_after": detected_after,
            "live_codes": live_codes,
            "recovered_after": recovered_after,
            "restarts": sum(pod.restarts for pod in pods),
            "same_processes": pids == [pod.pid for pod in pods],
        }
        frozen, *others = pods
        frozen.process.pause()
        await wait_until(lambda: frozen.restarts and frozen.ready)
        return database_frozen | {
            "frozen_pod_restarts": frozen.restarts,
            "frozen_pod_kills": frozen.kills,
            "other_pod_restarts": sum(pod.restarts for pod in others),
        }


async def roll_broken_release(env: Environment, manifest: Manifest) -> dict[str, Any]:
    """Roll out a release whose password of the database is wrong, with impact `fail`."""
    return await _roll_broken_release(env, manifest)


async def roll_broken_release_that_warns(env: Environment, manifest: Manifest) -> dict[str, Any]:
    """Roll out the same release with impact `warn`."""
    settings = manifest.settings | {"HEALTH_POSTGRES_IMPACT": "warn"}
    return await _roll_broken_release(env, dataclasses.replace(manifest, settings=settings))


async def _roll_broken_release(env: Environment, manifest: Manifest) -> dict[str, Any]:
    variable = env.postgres.variable
    wrong = {variable: re.sub(r":[^:@]+@", ":wrong@", env.addresses[variable])}
    async with env.deployed(manifest, lambda n: wrong if n >= REPLICAS else {}) as deployment:
        load = Load(deployment.service.connect)
        async with load.running():
            await asyncio.sleep(STEADY_LOAD)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BROKEN_ROLL_TIMEOUT):
                    await deployment.roll()
                    await deployment.wait_for_deletions()
            rolled_at = time.monotonic()
            await asyncio.sleep(STEADY_LOAD)
        later = [each for each in load.results if each.sent_at > rolled_at]
        return {
            "replaced": len(deployment.deleted),
            "min_endpoints": deployment.service.min_endpoints,
            "failures": load.failures,
            "requests_later": len(later),
            "failures_later": sum(not each.succeeded for each in later),
            "restarts": sum(pod.restarts for pod in deployment.pods),
        }


SCENARIOS: dict[str, Callable[[Environment, Manifest], Coroutine[None, None, dict[str, Any]]]] = {
    "with-drain": roll_with_drain,
    "without-drain": roll_without_drain,
    "frozen": freeze,
    "broken-release": roll_broken_release,
    "broken-release-that-warns": roll_broken_release_that_warns,
}

if __name__ == "__main__":
    pod, scenario = sys.argv[1:]
    with running_environment() as env:
        manifest = Manifest.from_pod(**json.loads(Path(pod).read_text("utf-8")))
        results = asyncio.run(SCENARIOS[scenario](env, manifest))
        print(json.dumps(results))  # noqa: T201 - the test reads it
