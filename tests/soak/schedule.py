"""The faults of the soak, most of them from the truth table, and when each was in effect."""

import asyncio
import inspect
from dataclasses import dataclass

from faults.break_overload import (
    disconnect_before_responses,
    send_malformed_requests,
    start_slow_clients,
)
from faults.environment import Environment
from faults.harness import Action, do_nothing
from faults.postgres_actions import DISCONNECT_SERVICE, hold_lock, release_locks, sql

from .traffic import Traffic

BURST = 3.0
"""The rate during a burst, as a multiple of the usual rate."""


@dataclass(frozen=True)
class SoakFault:
    """What breaks, and what repairs it."""

    name: str
    inject: Action
    repair: Action = do_nothing


@dataclass(frozen=True)
class Interval:
    """When a fault was in effect, in seconds from the start of the load."""

    name: str
    started: float
    ended: float


def soak_faults(traffic: Traffic) -> list[SoakFault]:
    """Return the faults in their order. They are repeated until the time is over."""
    return [
        SoakFault(
            "PostgreSQL frozen",
            lambda env: env.postgres.pause(),
            lambda env: env.postgres.resume(),
        ),
        SoakFault("Redis stopped", lambda env: env.valkey.stop(), lambda env: env.valkey.start()),
        SoakFault(
            "burst of requests",
            lambda _: setattr(traffic, "factor", BURST),
            lambda _: setattr(traffic, "factor", 1.0),
        ),
        SoakFault(
            "table locked",
            hold_lock("LOCK TABLE items IN ACCESS EXCLUSIVE MODE"),
            release_locks,
        ),
        SoakFault("clients leave before the response", disconnect_before_responses),
        SoakFault("PostgreSQL restarted", lambda env: env.postgres.restart()),
        SoakFault("500 slow clients", start_slow_clients),
        SoakFault("Redis frozen", lambda env: env.valkey.pause(), lambda env: env.valkey.resume()),
        SoakFault("database sessions ended", sql(DISCONNECT_SERVICE)),
        SoakFault("malformed requests", send_malformed_requests),
    ]


async def perform(action: Action, env: Environment) -> None:
    """Run an action, in a thread if it blocks."""
    blocking = not inspect.iscoroutinefunction(action)
    result = await asyncio.to_thread(action, env) if blocking else action(env)
    if inspect.isawaitable(result):
        await result
