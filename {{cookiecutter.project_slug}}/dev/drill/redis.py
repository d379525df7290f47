"""Failures of Redis: frozen, and out of memory."""

from dev.drill.step import Step
from dev.valkey import Valkey

REDIS = [
    Step(
        "Redis is frozen",
        """
        Nothing responds, so `ready` turns 504. A service that works without its cache should
        stay in rotation. With HEALTH_REDIS_IMPACT=warn, `ready` would stay 200 and report
        `warn`.
        """,
        inject=lambda environment: environment[Valkey].pause(),
        repair=lambda environment: environment[Valkey].resume(),
        ready="504",
        reason="redis: TimeoutError",
        server=Valkey,
    ),
    Step(
        "Redis is out of memory",
        """
        It responds to PING, but rejects every write. The check writes, so it detects that, and
        `ready` turns 503. Other pods use the same Redis, so only a fix of Redis itself helps.
        """,
        inject=lambda environment: environment[Valkey].ask("CONFIG", "SET", "maxmemory", "1"),
        repair=lambda environment: environment[Valkey].ask("CONFIG", "SET", "maxmemory", "0"),
        ready="503",
        reason="redis: OutOfMemoryError",
        server=Valkey,
    ),
]
