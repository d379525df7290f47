"""The embedded servers of this project."""

from dev.grpc import Downstream  # feature: grpc
from dev.kafka import Kafka  # feature: kafka
from dev.postgres import Postgres  # feature: postgres
from dev.sentinel import Sentinels  # feature: sentinel
from dev.server import Server
from dev.valkey import Valkey  # feature: redis

_KINDS: tuple[type[Server], ...] = (
    # Each starts unless its variable is set.
    Postgres,  # feature: postgres
    Valkey,  # feature: redis
    Sentinels,  # feature: sentinel
    Kafka,  # feature: kafka
    Downstream,  # feature: grpc
)

SERVERS = tuple(
    kind for kind in _KINDS if not any(kind.variable in other.replaces for other in _KINDS)
)
"""The servers that no other server replaces."""
