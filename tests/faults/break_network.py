"""Break the network between the service and its servers."""

import asyncio
from collections.abc import Callable

from .environment import Environment
from .harness import DETECTION, RECOVERY, Action, Fault
from .postgres_actions import restart_with
from .probe_client import CONNECTION_FAILED, OK, RED, WARN
from .proxy import Proxy

RECONNECTION = 12.0
"""Seconds until every silent connection of the pool must have been replaced."""
SECOND_HOST = 5.0
"""Seconds in which a service with two hosts in its URL must reach the second one."""
BIG_POOL = {"DATABASE_POOL_SIZE": "8"}
"""Settings with which slow queries of a few clients do not fill the pool."""


def on(name: str, break_network: Callable[[Proxy], None]) -> Action:
    """Return an action on the network between the service and one of its servers."""

    async def act(env: Environment) -> None:
        break_network(env.proxies[name])

    return act


def delay_responses(name: str, seconds: float) -> Action:
    """Return an action that delays each response of a server."""

    async def delay(env: Environment) -> None:
        env.proxies[name].latency = seconds

    return delay


async def reset_three_times(env: Environment) -> None:
    """Reset the open connections to Redis, and again when requests have opened new ones."""
    for _ in range(3):
        env.proxies["redis"].reset_open_connections()
        await asyncio.sleep(1)


async def drop_a_response(env: Environment) -> None:
    """Let a query reach the server, then drop its response and all further traffic."""
    env.proxies["postgres"].latency = 0.2
    env.run_in_background(env.service.get("/items"))
    await asyncio.sleep(0.1)
    env.proxies["postgres"].drop_traffic()


async def drop_traffic_for_a_second(env: Environment) -> None:
    """Drop all traffic to the database for one second, and reset the connections after it."""
    env.proxies["postgres"].drop_traffic()
    await asyncio.sleep(1)
    env.proxies["postgres"].repair()


async def start_with_a_silent_first_host(env: Environment) -> None:
    """Restart the service with two hosts in its URL, of which the first does not respond."""
    silent = env.proxies["silent"]
    silent.drop_traffic()
    url = env.variables["DATABASE_URL"].replace("127.0.0.1:", f"127.0.0.1:{silent.port},127.0.0.1:")
    await restart_with(env, {"DATABASE_URL": f"{url}?target_session_attrs=read-write"})


async def start_normally(env: Environment) -> None:
    """Restart the service with its usual settings."""
    await restart_with(env, {})


repair_postgres, repair_redis = on("postgres", Proxy.repair), on("redis", Proxy.repair)

NETWORK = [
    Fault(
        "Network drops all traffic to PostgreSQL during a query",
        drop_a_response,
        repair_postgres,
        ready_code=504,
        failure="postgres: TimeoutError",
    ),
    Fault(
        "PostgreSQL responds after 400 ms (still ready)",
        delay_responses("postgres", 0.4),
        repair_postgres,
        ready_code=OK,
        hold=2 * DETECTION,
        settings=BIG_POOL,
    ),
    Fault(
        "PostgreSQL responds after 2 s",
        delay_responses("postgres", 2),
        repair_postgres,
        ready_code=RED,
        failure="postgres: TimeoutError",
    ),
    Fault(
        "Network resets every connection to PostgreSQL",
        on("postgres", Proxy.reset_connections),
        repair_postgres,
        failure="postgres: Connection",
    ),
    Fault(
        "Network resets new connections to PostgreSQL, and the open ones work",
        on("postgres", Proxy.reset_new_connections),
        repair_postgres,
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
        settings={"DATABASE_POOL_SIZE": "3", "DATABASE_MAX_OVERFLOW": "0"},
    ),
    Fault(
        "Network swallows the open connections to PostgreSQL, and new ones work",
        on("postgres", Proxy.swallow_open_connections),
        repair_postgres,
        ready_code=OK,
        allowed_codes=frozenset({503, 504}),
        hold=RECONNECTION,
    ),
    Fault(
        "Network drops all traffic to PostgreSQL for 1 s (still ready)",
        drop_traffic_for_a_second,
        ready_code=OK,
        allowed_codes=frozenset({503, 504}),
        hold=2 * RECOVERY,
    ),
    Fault(
        "First of two hosts in the URL does not respond",
        start_with_a_silent_first_host,
        start_normally,
        ready_code=OK,
        allowed_codes=frozenset({503, 504, CONNECTION_FAILED}),
        red_is_right="it is restarted for this: it drains, and then starts",
        hold=SECOND_HOST,
        recover_within=10,
    ),
    Fault(
        "Network drops all traffic to Redis",
        on("redis", Proxy.drop_traffic),
        repair_redis,
        ready_code=WARN,
        failure="redis: TimeoutError",
    ),
    Fault(
        "Network resets every connection to Redis",
        on("redis", Proxy.reset_connections),
        repair_redis,
        ready_code=WARN,
        failure="redis: ConnectionError",
    ),
    Fault(
        "Network resets the open connections to Redis three times (still ready)",
        reset_three_times,
        ready_code=OK,
        max_failures=0,
        hold=RECOVERY,
    ),
    Fault(
        "Network swallows the open connections to Redis, and new ones work",
        on("redis", Proxy.swallow_open_connections),
        repair_redis,
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
    ),
    Fault(
        "Redis responds after 100 ms (still ready)",
        delay_responses("redis", 0.1),
        repair_redis,
        ready_code=OK,
        hold=DETECTION,
    ),
    Fault(
        "Redis responds after 2 s",
        delay_responses("redis", 2),
        repair_redis,
        ready_code=WARN,
        failure="redis: TimeoutError",
    ),
]
