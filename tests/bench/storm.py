"""Two thousand probes a second: what reaches the database, and what is left for requests."""

import re
import time
from collections.abc import Iterator
from statistics import median

from .compare import Figure, Plan, require
from .load import Stream, get, percentile, run
from .stage import Stage
from .subject import Subject, ask

RATE = 2000
READY = get("/health/ready")
ASKING = re.compile(rb'health_check_attempts_total\{check="postgres(?:\.schema)?",.*\} (.+)')
"""The checks that send a statement an attempt."""


def storm(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """Probes alone, for what they send to the database, and beside requests."""
    with stage.service() as service:
        service.until("/health/ready")
        yield from _queries(stage, service, plan)
        for what, path in (("no database", "/memory/items"), ("one row read", "/items")):
            yield from _business(service, what, get(stage.item(service, path)), plan)


def _queries(stage: Stage, service: Subject, plan: Plan) -> Iterator[Figure]:
    """Statements that the service sends for probes, and not for its own attempts in any case."""
    with stage.statements_logged():
        before = _counts(stage, service)
        probes = Stream(service.port, READY, rate=RATE)
        run([probes], plan.long)
        require(probes, {200})
        after = _counts(stage, service)
    attempts, statements = (late - early for late, early in zip(after, before, strict=True))
    yield Figure("storm", "probes answered", probes.answered, "")
    yield Figure("storm", "statements of the checks' own attempts", attempts, "")
    yield Figure("storm", "statements beyond those", statements - attempts, "", 0)
    yield Figure("storm", "p99 of a probe", 1000 * percentile(probes.latencies[200], 0.99), "ms")


def _business(service: Subject, what: str, request: bytes, plan: Plan) -> Iterator[Figure]:
    """How many requests a busy service answers in a storm, of those that it answers without.

    The share of a core tells the same of a service that has a core for itself, also where it has
    only some of one because the machine does other things.
    """
    rates, losses, shares = [], [], []
    for number in range(-1, plan.rounds):  # one before, which warms everything up
        order = (False, True) if number % 2 else (True, False)
        played = {stormy: _play(service, request, plan, stormy=stormy) for stormy in order}
        (calm, calm_cpu, _), (work, cpu, probes) = played[False], played[True]
        if number >= 0:
            rates.append(calm.answered / calm.seconds)
            losses.append(100 * (1 - work.answered / work.seconds / rates[-1]))
            for_work = calm_cpu / calm.answered * work.answered
            shares.append(100 * RATE * (cpu - for_work) / probes)
    yield Figure("storm", f"{what}, without", median(rates), "/s")
    yield Figure("storm", f"{what}, lost in the storm", median(losses), "%", 5)
    yield Figure("storm", f"{what}, core lost in the storm", median(shares), "%")


def _play(
    service: Subject, request: bytes, plan: Plan, *, stormy: bool
) -> tuple[Stream, float, int]:
    """Keep the service busy; return its requests, its seconds of CPU, and the probes."""
    work = Stream(service.port, request)
    storm = [Stream(service.port, READY, rate=RATE)] * stormy
    before = service.cpu()
    run([work, *storm], plan.seconds)
    used = service.cpu() - before
    service.forget_log()
    for stream in (work, *storm):
        require(stream, {200})
    return work, used, sum(stream.answered for stream in storm)


def _counts(stage: Stage, service: Subject) -> tuple[int, int]:
    """Return attempts and statements so far, at a moment when none is under way."""
    earlier = (-1, -1)
    while True:
        _, page = ask(service.management, "/metrics")
        attempts = sum(int(float(number)) for number in ASKING.findall(page))
        counts = attempts, stage.statements()
        if counts == earlier:
            return counts
        earlier = counts
        time.sleep(0.2)
