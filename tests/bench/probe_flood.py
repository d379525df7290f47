"""Two thousand probes a second: what reaches the database, and what is left for requests."""

import re
import time
from collections.abc import Iterator
from statistics import median

from .compare import Figure, Plan, require
from .environment import Stage
from .load import Stream, get, percentile, run
from .measured_process import Subject, ask

RATE = 2000
READY = get("/health/ready")
ASKING = re.compile(rb'health_check_attempts_total\{check="postgres(?:\.schema)?",.*\} (.+)')
"""The checks that send a statement an attempt."""


def storm(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """Probes alone, for what they send to the database, and beside requests."""
    with stage.service() as service, stage.bare("probed") as bare:
        service.until("/health/ready")
        bare.until("/health/ready")
        yield from _queries(stage, service, plan)
        for what, path in (("no database", "/memory/items"), ("one row read", "/items")):
            requests = {subject: get(stage.item(subject, path)) for subject in (service, bare)}
            yield from _business(what, requests, plan)


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


def _business(what: str, requests: dict[Subject, bytes], plan: Plan) -> Iterator[Figure]:
    """What busy servers lose in a storm: the service, and one whose probes cost the least.

    What that one loses are the kernel's and uvicorn's 2,000 more requests a second.
    """
    calm: dict[Subject, list[float]] = {subject: [] for subject in requests}
    losses: dict[Subject, list[float]] = {subject: [] for subject in requests}
    for number in range(-1, plan.rounds):  # one before, which warms everything up
        order = (False, True) if number % 2 else (True, False)
        for subject, request in requests.items():
            rates = {stormy: _play(subject, request, plan, stormy=stormy) for stormy in order}
            if number >= 0:
                calm[subject].append(rates[False])
                losses[subject].append(100 * (1 - rates[True] / rates[False]))
    service, bare = requests
    yield Figure("storm", f"{what}, without", median(calm[service]), "/s")
    yield Figure("storm", f"{what}, lost in the storm", median(losses[service]), "%", 5)
    yield Figure("storm", f"{what}, lost with a bare probe", median(losses[bare]), "%")


def _play(subject: Subject, request: bytes, plan: Plan, *, stormy: bool) -> float:
    """Keep a server busy, and return how many requests it answers a second."""
    work = Stream(subject.port, request)
    storm = [Stream(subject.port, READY, rate=RATE)] * stormy
    run([work, *storm], plan.seconds)
    subject.forget_log()
    for stream in (work, *storm):
        require(stream, {200})
    return work.answered / work.seconds


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
