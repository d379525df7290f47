"""All faults, by group. Each group has an environment of its own, so groups can run in parallel."""

from collections.abc import Collection

from . import (
    break_grpc,
    break_kafka,
    break_limits,
    break_network,
    break_overload,
    break_pooler,
    break_postgres,
    break_redis,
    break_rotation,
    break_rules,
    break_service,
    break_sessions,
    break_standby,
    break_tables,
)
from .environment import Layout
from .harness import Fault

GROUPS: dict[str, tuple[Layout, list[Fault]]] = {
    "PostgreSQL": ("direct", break_postgres.SERVER),
    "PostgreSQL sessions": ("direct", [*break_sessions.SESSIONS, *break_rotation.PASSWORD]),
    "PostgreSQL tables": ("direct", break_tables.TABLES),
    "PostgreSQL rules": ("direct", break_rules.RULES),
    "PostgreSQL limits": ("direct", break_limits.LIMITS),
    "PostgreSQL pooler": ("pooler", [*break_pooler.POOLER, *break_rotation.CERTIFICATE]),
    "PostgreSQL disk": ("small disk", break_tables.DISK),
    "PostgreSQL WAL disk": ("small WAL disk", break_tables.WAL_DISK),
    "PostgreSQL standby": ("standby", break_standby.STANDBY),
    "Network": ("proxied", break_network.NETWORK),
    "Redis": ("direct", break_redis.DIRECT),
    "Redis replica": ("replica", break_redis.REPLICA),
    "Redis Sentinel": ("sentinel", break_redis.SENTINEL),
    "Kafka": ("direct", break_kafka.KAFKA),
    "gRPC": ("direct", break_grpc.GRPC),
    "Service": ("direct", break_service.SERVICE),
    "Overload": ("direct", break_overload.OVERLOAD),
}
"""Group name: layout of the environment, faults."""


def unavailable_faults(text: str = "") -> dict[str, str]:
    """Return why faults cannot be injected on this machine, by their names that contain a text."""
    faults = [fault for _, group in GROUPS.values() for fault in group if _matches(fault, text)]
    return {fault.name: reason for fault in faults if (reason := fault.needs())}


def fault_names(
    text: str = "", *, quick: bool = False, without: Collection[str] = ()
) -> dict[str, list[str]]:
    """Return the names that contain a text, by group. quick: only the first of each group.

    without: names to leave out.
    """
    matching = {
        group: [
            fault.name for fault in faults if _matches(fault, text) and fault.name not in without
        ]
        for group, (_, faults) in GROUPS.items()
    }
    return {group: names[:1] if quick else names for group, names in matching.items() if names}


def _matches(fault: Fault, text: str) -> bool:
    return text.lower() in fault.name.lower()
