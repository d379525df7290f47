"""Redis broken: nobody answers, and no room left."""

from dev.drill.step import Step
from dev.valkey import Valkey

REDIS = [
    Step(
        "Redis is frozen",
        """
        Nobody answers, so `ready` turns 504. A service that can do without its cache should
        not leave for that: with HEALTH_REDIS_IMPACT=warn `ready` would stay 200 and say
        `warn`.
        """,
        breaks=lambda stage: stage[Valkey].pause(),
        mends=lambda stage: stage[Valkey].resume(),
        ready="504",
        names="redis: TimeoutError",
        server=Valkey,
    ),
    Step(
        "Redis is out of memory",
        """
        It answers PING as ever, and refuses every write. The check writes, so it sees that:
        `ready` turns 503. Kubernetes would send requests to other pods, but they have the
        same Redis: what has to be mended is there.
        """,
        breaks=lambda stage: stage[Valkey].ask("CONFIG", "SET", "maxmemory", "1"),
        mends=lambda stage: stage[Valkey].ask("CONFIG", "SET", "maxmemory", "0"),
        ready="503",
        names="redis: OutOfMemoryError",
        server=Valkey,
    ),
]
