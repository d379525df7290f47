"""All faults, in groups that each have a rig of their own, and so can run side by side."""

from . import break_grpc, break_kafka, break_postgres, break_redis, break_service
from .harness import Fault

GROUPS: dict[str, tuple[str, list[Fault]]] = {
    # its name: the rig's layout, the faults
    "PostgreSQL": ("plain", break_postgres.PLAIN),
    "Network": ("proxied", [*break_postgres.PROXIED, *break_redis.PROXIED]),
    "Standby": ("standby", break_postgres.STANDBY),
    "Redis": ("plain", break_redis.PLAIN),
    "Replica": ("replica", break_redis.REPLICA),
    "Sentinel": ("sentinel", break_redis.SENTINEL),
    "Kafka": ("plain", break_kafka.KAFKA),
    "gRPC": ("plain", break_grpc.GRPC),
    "Service": ("plain", break_service.SERVICE),
}


def named(text: str = "", *, quick: bool = False) -> dict[str, list[str]]:
    """Return the names of the faults that hold a text, by group; quick: only each group's first."""
    chosen = {
        group: [fault.name for fault in faults if text.lower() in fault.name.lower()]
        for group, (_, faults) in GROUPS.items()
    }
    return {group: names[:1] if quick else names for group, names in chosen.items() if names}
