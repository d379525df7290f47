"""The CPU time per request: probes, routes and each layer, compared with minimal applications."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise

from .compare import Comparison, Measurement, Plan, Round, Workload
from .environment import Environment, one_percent_traced
from .load import get, post
from .measured_process import MeasuredProcess

ITEM = b'{"name": "Lamp"}'
MEMORY_ITEMS = "/memory/items"
MAX_RATIO, MAX_RATIO_WITH_ROW, MAX_RATIO_TRACED = 1.2, 1.08, 1.4
BATCHES_PER_ROUND = 5
"""Batches are short, so a round has several of them."""


def probes(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Compare probes with a minimal ASGI application, and with a probe that is a route."""
    with env.service() as service, env.baseline("asgi") as asgi:
        service.wait_until_ready("/health/ready")
        asgi.wait_until_ready("/")
        comparison = Comparison(
            {
                "bare ASGI": Workload(asgi, get("/")),
                "live": Workload(service, get("/health/live")),
                "ready": Workload(service, get("/health/ready")),
                "a route": Workload(service, get("/healthz")),
            },
            plan,
        )
    for name in comparison.rounds:
        yield from _cpu_and_rate("probes", comparison, name)
    for name in ("live", "ready", "a route"):
        target = None if name == "a route" else 0.96
        by_cpu = comparison.ratio("bare ASGI", name, _cpu)
        by_rate = comparison.ratio(name, "bare ASGI", _rate)
        title = f"{name} / bare ASGI"
        yield Measurement("probes", f"{title}, by CPU", by_cpu, "", target, at_least=True)
        yield Measurement("probes", f"{title}, by rate", by_rate, "")


def routes(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Compare routes of bare FastAPI, of the service, and of the usual layers.

    The service is measured without traces and with 1 % traced, the usual layers with 1 %.
    """
    with ExitStack() as stack:
        collector = stack.enter_context(env.baseline("collector", core=-1)).wait_until_ready("/")
        settings = one_percent_traced(collector)
        traced, usual = env.service(**settings), env.baseline("usual", 0, **settings)
        servers = {
            "bare": stack.enter_context(env.baseline("fastapi")).wait_until_ready("/healthz"),
            "service": stack.enter_context(env.service()).wait_until_ready("/health/ready"),
            "traced": stack.enter_context(traced).wait_until_ready("/health/ready"),
            "usual": stack.enter_context(usual).wait_until_ready("/healthz"),
        }
        requests: dict[str, tuple[Callable[[MeasuredProcess], bytes], int]] = {
            "no database": (lambda server: get(env.create_item(server, MEMORY_ITEMS)), 200),
            "one row read": (lambda server: get(env.create_item(server)), 200),
            "one row written": (lambda _: post("/items", ITEM), 201),
        }
        for topic, (request, code) in requests.items():
            workloads = {
                name: Workload(server, request(server), code) for name, server in servers.items()
            }
            comparison = Comparison(workloads, plan)
            for name in comparison.rounds:
                yield from _cpu_and_rate(topic, comparison, name)
            of_service = MAX_RATIO if topic == "no database" else MAX_RATIO_WITH_ROW
            targets = {"service": of_service, "traced": MAX_RATIO_TRACED, "usual": None}
            for name, target in targets.items():
                by_cpu, by_rate = (comparison.ratio(name, "bare", of) for of in (_cpu, _rate))
                yield Measurement(topic, f"{name} / bare, by CPU", by_cpu, "", target)
                yield Measurement(topic, f"{name} / bare, by rate", by_rate, "")


def layers(env: Environment, plan: Plan) -> Iterator[Measurement]:
    """Measure each layer: a request through it, minus a request through the layers inside it."""
    with env.baseline("collector", core=-1) as collector:
        settings = one_percent_traced(collector.wait_until_ready("/"))
        microseconds = env.cpu_by_layer(BATCHES_PER_ROUND * plan.rounds, **settings)
    innermost, cpu = next(iter(microseconds.items()))
    yield Measurement("layers", innermost, cpu, "µs")
    for (_, inner), (name, outer) in pairwise(microseconds.items()):
        yield Measurement("layers", f"+ {name}", outer - inner, "µs")


def _cpu_and_rate(topic: str, comparison: Comparison, name: str) -> Iterator[Measurement]:
    yield Measurement(topic, f"{name}, CPU", comparison.cpu(name), "µs")
    yield Measurement(topic, f"{name}, rate", comparison.rate(name), "/s")


def _cpu(each: Round) -> float:
    return each.cpu


def _rate(each: Round) -> float:
    return each.rate
