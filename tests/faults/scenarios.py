"""All faults, by group. Each group has an environment of its own, so groups can run in parallel."""

from . import break_grpc, break_kafka, break_postgres, break_redis, break_service
from .environment import Layout
from .harness import Fault

GROUPS: dict[str, tuple[Layout, list[Fault]]] = {
    "PostgreSQL": ("direct", break_postgres.DIRECT),
    "Network": ("proxied", [*break_postgres.PROXIED, *break_redis.PROXIED]),
    "PostgreSQL standby": ("standby", break_postgres.STANDBY),
    "Redis": ("direct", break_redis.DIRECT),
    "Redis replica": ("replica", break_redis.REPLICA),
    "Redis Sentinel": ("sentinel", break_redis.SENTINEL),
    "Kafka": ("direct", break_kafka.KAFKA),
    "gRPC": ("direct", break_grpc.GRPC),
    "Service": ("direct", break_service.SERVICE),
}
"""Group name: layout of the environment, faults."""


def fault_names(text: str = "", *, quick: bool = False) -> dict[str, list[str]]:
    """Return the names that contain a text, by group. quick: only the first of each group."""
    matching = {
        group: [fault.name for fault in faults if text.lower() in fault.name.lower()]
        for group, (_, faults) in GROUPS.items()
    }
    return {group: names[:1] if quick else names for group, names in matching.items() if names}
