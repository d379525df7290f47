"""Run the soak: `python -m soak.worker MINUTES FOLDER [--quick]`.

It runs in the folder of the generated service, with the service's packages.
"""

import asyncio
import dataclasses
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import get, post
from bench.measured_process import pinned_to_core
from faults.environment import DEFAULTS, Environment, running_environment, wait_until

from .chart import svg_chart
from .judge import Check, Counts, check_answers, check_counts, check_memory, check_verdicts
from .samples import Sample, take_sample, thread_count
from .schedule import Interval, perform, soak_faults
from .traffic import Traffic

LOAD = 0.8
"""The rate of the load, as a share of the measured capacity."""
CLIENTS = 60
"""Clients of the closed loop that measures the capacity, as in the benchmark."""
KEPT_SETTINGS = ("SERVICE_ENVIRONMENT", "SERVICE_HOST")
"""The settings of a deployed service. All others have their defaults."""
READY_TIMEOUT = 60.0
IDLE_TIMEOUT = 40.0
"""Seconds for the idle service to release what the load needed."""


@dataclass(frozen=True)
class Plan:
    """Seconds. interval: from one fault to the next. hold: how long a fault lasts."""

    seconds: float
    interval: float = 20.0
    hold: float = 6.0
    capacity_seconds: float = 5.0


async def soak(plan: Plan, to: Path) -> bool:
    """Run everything, write the report, and return whether all checks passed."""
    async with running_environment("direct") as env:
        await _start_service(env)
        item = f"/items/{env.items[0]}"
        write = post("/items", b'{"name": "Lamp"}')
        mix = [get(item), get("/items"), get(item), write, get(f"{item}/stock")]
        traffic = Traffic(env.service.port, mix)
        capacity = await _measure_capacity(traffic, plan)
        traffic.close()
        before = await _settled_counts(env)
        print(f"capacity {capacity:.0f}/s, load {LOAD * capacity:.0f}/s", flush=True)  # noqa: T201
        traffic.take_second()
        answered_before, traffic.sent = traffic.totals.copy(), 0
        traffic.unanswered.clear()
        samples, faults = await _run(env, traffic, plan, LOAD * capacity)
        traffic.close()
        after = await _counts_until_as_before(env, before)
        log = env.service.logged_warnings()
    reasons = [each.reason for each in traffic.unanswered]
    checks = [
        check_memory(samples),
        check_counts(before, after),
        check_answers(traffic.sent, reasons),
        check_verdicts(samples, faults),
    ]
    codes = dict(sorted((traffic.totals - answered_before).items()))
    document = {
        "plan": dataclasses.asdict(plan),
        "capacity": round(capacity, 1),
        "load": round(LOAD * capacity, 1),
        "sent": traffic.sent,
        "codes": codes,
        "alerts": "judged by the verdicts of ready; the alerting rules were not evaluated",
        "checks": checks,
        "before": before,
        "after": after,
        "faults": faults,
        "log": log,
        "samples": samples,
    }
    (to / "soak.json").write_text(json.dumps(document, indent=1, default=_as_dict), "utf-8")
    (to / "soak.svg").write_text(svg_chart(samples, faults), "utf-8")
    _print_summary(checks, codes)
    return all(check.passed for check in checks)


async def _start_service(env: Environment) -> None:
    """Start the service with default settings, on a core of its own."""
    await asyncio.to_thread(env.baseline.stop)
    small = set(DEFAULTS) - set(KEPT_SETTINGS)
    variables = {name: value for name, value in env.variables.items() if name not in small}
    with pinned_to_core(0):
        env.service.start_service(variables)
    await wait_until(env.service.passes, READY_TIMEOUT)


async def _measure_capacity(traffic: Traffic, plan: Plan) -> float:
    """Return the successes per second, after a first round that opens the pool."""
    await traffic.closed_loop(CLIENTS, plan.capacity_seconds)
    capacity = await traffic.closed_loop(CLIENTS, plan.capacity_seconds)
    if not capacity:
        raise RuntimeError(f"no request succeeded: {dict(traffic.totals)}")
    return capacity


async def _run(
    env: Environment, traffic: Traffic, plan: Plan, rate: float
) -> tuple[list[Sample], list[Interval]]:
    start = time.monotonic()
    samples: list[Sample] = []

    async def sample() -> None:
        while True:
            await asyncio.sleep(1)
            at = time.monotonic() - start
            samples.append(await take_sample(env, traffic, round(at, 2)))

    sampling = asyncio.create_task(sample())
    sending = asyncio.create_task(traffic.open_loop(rate, plan.seconds))
    try:
        faults = await _inject(env, traffic, plan, start, samples)
        await sending
    finally:
        for task in (sampling, sending):
            task.cancel()
        ended = await asyncio.gather(sampling, sending, return_exceptions=True)
    for result in ended:
        if isinstance(result, Exception):
            raise result
    return samples, faults


async def _inject(
    env: Environment, traffic: Traffic, plan: Plan, start: float, samples: Sequence[Sample]
) -> list[Interval]:
    """Inject one fault per interval, while there is time for it and for the recovery from it."""
    intervals: list[Interval] = []
    faults = soak_faults(traffic)
    while (number := len(intervals)) < int(plan.seconds / plan.interval):
        fault = faults[number % len(faults)]
        due = start + number * plan.interval + plan.interval / 4
        await asyncio.sleep(max(due - time.monotonic(), 0))
        started = time.monotonic() - start
        try:
            await perform(fault.inject, env)
            await asyncio.sleep(plan.hold)
        finally:
            await perform(fault.repair, env)
        await env.wait_for_background_work()
        interval = Interval(fault.name, round(started, 2), round(time.monotonic() - start, 2))
        intervals.append(interval)
        os.truncate(env.service.log, 0)  # one line per request would soon fill the disk
        print(_fault_line(interval, samples), flush=True)  # noqa: T201
    return intervals


def _fault_line(fault: Interval, samples: Sequence[Sample]) -> str:
    """Return when a fault was in effect, and the worst that was sampled meanwhile."""
    during = [each for each in samples if fault.started <= each.at <= fault.ended]
    verdicts = " ".join(dict.fromkeys(each.verdict for each in during))
    p99 = max((each.p99 for each in during), default=0.0)
    errors = sum(n for each in during for code, n in each.codes.items() if code >= 500)
    return (
        f"{fault.started:6.0f} s  {fault.name:34} {fault.ended - fault.started:5.1f} s"
        f"  p99 {p99:6.0f} ms  5xx {errors:6}  ready: {verdicts}"
    )


async def _counts(env: Environment) -> Counts:
    tasks, pid = await env.service.task_count(), env.service.pid
    database = env.service.connections_to(env.postgres.port)
    redis = env.service.connections_to(env.valkey.port)
    files = env.service.open_descriptors() - database - redis
    return Counts(tasks, files, thread_count(pid), database, redis)


async def _settled_counts(env: Environment) -> Counts:
    """Return the counts of the idle service, once they are equal for two seconds."""
    deadline = time.monotonic() + IDLE_TIMEOUT
    counts, since = await _counts(env), time.monotonic()
    while time.monotonic() < min(since + 2, deadline):
        await asyncio.sleep(0.2)
        previous, counts = counts, await _counts(env)
        since = since if counts == previous else time.monotonic()
    return counts


async def _counts_until_as_before(env: Environment, before: Counts) -> Counts:
    """Return the counts as soon as none exceeds that before, or the last ones."""
    deadline = time.monotonic() + IDLE_TIMEOUT
    counts = await _counts(env)
    while counts.exceed(before) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        counts = await _counts(env)
    return counts


def _print_summary(checks: Sequence[Check], codes: dict[int, int]) -> None:
    print("responses: " + ", ".join(f"{count} x {code}" for code, count in codes.items()))  # noqa: T201
    for check in checks:
        print(f"{'ok' if check.passed else 'FAILED':7} {check.name}: {check.detail}")  # noqa: T201
    print("Alerts were judged by the verdicts of ready; the alerting rules were not evaluated.")  # noqa: T201


def _as_dict(value: Counts | Check | Interval | Sample) -> dict[str, object]:
    return dataclasses.asdict(value)


def _main(minutes: float, to: Path, *, quick: bool) -> int:
    _, granted = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, granted))
    plan = Plan(60 * minutes)
    if quick:
        plan = dataclasses.replace(plan, interval=7.0, hold=2.0, capacity_seconds=2.0)
    with pinned_to_core(-1):
        return 0 if asyncio.run(soak(plan, to)) else 1


if __name__ == "__main__":
    sys.exit(_main(float(sys.argv[1]), Path(sys.argv[2]), quick="--quick" in sys.argv))
