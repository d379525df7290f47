"""What a request costs: probes beside the shortest answer, routes beside bare ones, each layer."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise

from .compare import Contest, Contestant, Figure, Plan, Round
from .environment import Stage, sampled
from .load import get, post
from .measured_process import Subject

ITEM = b'{"name": "Lamp"}'
MEMORY = "/memory/items"
BATCHES = 5
"""Looks at each layer a round: they are short."""


def probes(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """Probes, a bare ASGI application, and a probe that is a route under the same layers."""
    with stage.service() as service, stage.bare("asgi") as asgi:
        service.until("/health/ready")
        asgi.until("/")
        contest = Contest(
            {
                "bare ASGI": Contestant(asgi, get("/")),
                "live": Contestant(service, get("/health/live")),
                "ready": Contestant(service, get("/health/ready")),
                "a route": Contestant(service, get("/healthz")),
            },
            plan,
        )
    for name in contest.rounds:
        yield from _absolute("probes", contest, name)
    for name in ("live", "ready", "a route"):
        target = None if name == "a route" else 0.92
        by_cpu = contest.ratio("bare ASGI", name, _cpu)
        title = f"{name} / bare ASGI"
        yield Figure("probes", f"{title}, by CPU", by_cpu, "", target, at_least=True)
        yield Figure("probes", f"{title}, by rate", contest.ratio(name, "bare ASGI", _rate), "")


def routes(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """The same routes bare, under the whole stack, and with one request in a hundred traced."""
    with ExitStack() as stack:
        sink = stack.enter_context(stage.bare("sink", core=-1)).until("/")
        subjects = {
            "bare": stack.enter_context(stage.bare("fastapi")).until("/healthz"),
            "stack": stack.enter_context(stage.service()).until("/health/ready"),
            "traced": stack.enter_context(stage.service(**sampled(sink))).until("/health/ready"),
        }
        work: dict[str, tuple[Callable[[Subject], bytes], int]] = {
            "no database": (lambda subject: get(stage.item(subject, MEMORY)), 200),
            "one row read": (lambda subject: get(stage.item(subject)), 200),
            "one row written": (lambda _: post("/items", ITEM), 201),
        }
        for what, (request, code) in work.items():
            contest = Contest(
                {name: Contestant(s, request(s), code=code) for name, s in subjects.items()}, plan
            )
            for name in contest.rounds:
                yield from _absolute(what, contest, name)
            for name, target in (("stack", 1.3), ("traced", 1.9)):
                by_cpu, by_rate = (contest.ratio(name, "bare", of) for of in (_cpu, _rate))
                yield Figure(what, f"{name} / bare, by CPU", by_cpu, "", target)
                yield Figure(what, f"{name} / bare, by rate", by_rate, "")


def layers(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """Each layer's own cost: a request through it, less one through those within it."""
    with stage.bare("sink", core=-1) as sink:
        costs = stage.layers(BATCHES * plan.rounds, **sampled(sink.until("/")))
    yield Figure("layers", next(iter(costs)), next(iter(costs.values())), "µs")
    for (_, inner), (name, outer) in pairwise(costs.items()):
        yield Figure("layers", f"+ {name}", outer - inner, "µs")


def _absolute(topic: str, contest: Contest, name: str) -> Iterator[Figure]:
    yield Figure(topic, f"{name}, CPU", contest.cpu(name), "µs")
    yield Figure(topic, f"{name}, rate", contest.rate(name), "/s")


def _cpu(each: Round) -> float:
    return each.cpu


def _rate(each: Round) -> float:
    return each.rate
