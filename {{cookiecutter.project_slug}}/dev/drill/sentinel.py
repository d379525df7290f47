"""Failures of a Sentinel group: it loses a sentinel, and then its primary."""

from dev.drill.environment import Environment
from dev.drill.step import Step
from dev.sentinel import Sentinels
from dev.sentinel_nodes import MASTER

DOWN_AFTER = 8000
"""Milliseconds without a response after which sentinels fail over. Their default is 30,000.

The embedded sentinels use 1,000. A failover is then over before an idle service runs its check.
"""


def kill_primary(environment: Environment) -> None:
    """Kill the present primary, and delay the failover."""
    group = environment[Sentinels]
    for sentinel in group.sentinels:
        sentinel.ask("SENTINEL", "SET", MASTER, "down-after-milliseconds", str(DOWN_AFTER))
    primary = group.current_primary()
    if primary is None:
        raise RuntimeError("no sentinel knows a primary")
    primary.kill()


def fail_over(environment: Environment) -> None:
    """Wait until there is a new primary, then restart the killed one as its replica."""
    group = environment[Sentinels]
    dead = [node for node in (group.primary, *group.replicas) if not node.is_running]
    environment.until(lambda: group.current_primary() not in (None, *dead))
    for node in dead:
        node.start()


SENTINEL = [
    Step(
        "One of three sentinels is lost",
        """
        The other two can still agree on a primary, so the service works: `ready` stays 200
        and warns. Kubernetes does nothing. Replace the sentinel before a second one fails.
        """,
        inject=lambda environment: environment[Sentinels].sentinels[2].stop(),
        repair=lambda environment: environment[Sentinels].sentinels[2].start(),
        ready="200 warn",
        reason="redis.sentinel: warn",
        server=Sentinels,
    ),
    Step(
        "The primary is killed",
        """
        `ready` warns while there is no primary: items are read from the database. After 8 s
        without a response, the sentinels promote a replica. The service follows by itself,
        without a restart or a change of its settings.
        """,
        inject=kill_primary,
        repair=fail_over,
        ready="200 warn",
        reason="redis",
        server=Sentinels,
    ),
]
