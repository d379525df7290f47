"""Failures of Redis: frozen, and out of memory."""

from dev.drill.step import Step
from dev.valkey import Valkey

REDIS = [
    Step(
        "Redis is frozen",
        """
        Nothing responds. But Redis is a cache here: after a tenth of a second each request reads
        from the database instead. So `ready` stays 200 and warns, and no client notices. With
        HEALTH_REDIS_IMPACT=fail it would turn 504, and take every pod out of rotation.
        """,
        inject=lambda environment: environment[Valkey].pause(),
        repair=lambda environment: environment[Valkey].resume(),
        ready="200 warn",
        reason="redis: TimeoutError",
        server=Valkey,
    ),
    Step(
        "Redis is out of memory",
        """
        It responds to PING, but rejects every write. The check writes, so it detects that, and
        `ready` warns. Until Redis has memory again, items are read from the database.
        """,
        inject=lambda environment: environment[Valkey].ask("CONFIG", "SET", "maxmemory", "1"),
        repair=lambda environment: environment[Valkey].ask("CONFIG", "SET", "maxmemory", "0"),
        ready="200 warn",
        reason="redis: OutOfMemoryError",
        server=Valkey,
    ),
]
