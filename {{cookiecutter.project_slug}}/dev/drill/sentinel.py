"""A group under Sentinel broken: it loses one who watches, and then its primary."""

from dev.drill.environment import Stage
from dev.drill.step import Step
from dev.sentinel import Sentinels
from dev.sentinel_nodes import MASTER

DOWN_AFTER = 8000
"""Milliseconds of silence after which the sentinels take a primary for lost; by default 30,000.

Ours are told to wait for 1,000, after which a failover is over before an idle service looks.
"""


def kill_the_primary(stage: Stage) -> None:
    """Kill whoever is the primary now, and let the failover take its time."""
    group = stage[Sentinels]
    for sentinel in group.sentinels:
        sentinel.ask("SENTINEL", "SET", MASTER, "down-after-milliseconds", str(DOWN_AFTER))
    primary = group.current_primary()
    if primary is None:
        raise RuntimeError("no sentinel knows a primary")
    primary.kill()


def fail_over(stage: Stage) -> None:
    """Wait until there is another primary; then let the dead one come back, as its replica."""
    group = stage[Sentinels]
    dead = [node for node in (group.primary, *group.replicas) if not node.runs]
    stage.until(lambda: group.current_primary() not in (None, *dead))
    for node in dead:
        node.start()


SENTINEL = [
    Step(
        "One of three sentinels is lost",
        """
        The other two can still agree on a primary, so the service can do its work: `ready`
        stays 200, and warns. Kubernetes does nothing; it is you who should, before a second
        one goes.
        """,
        breaks=lambda stage: stage[Sentinels].sentinels[2].stop(),
        mends=lambda stage: stage[Sentinels].sentinels[2].start(),
        ready="200 warn",
        names="redis.sentinel: warn",
        server=Sentinels,
    ),
    Step(
        "The primary is killed",
        """
        `ready` turns 503 while there is no primary. When the sentinels have not heard of it
        for 8 s they promote a replica. The service follows by itself and is ready again:
        nobody has to restart or to reconfigure it.
        """,
        breaks=kill_the_primary,
        mends=fail_over,
        ready="503",
        names="redis",
        server=Sentinels,
    ),
]
