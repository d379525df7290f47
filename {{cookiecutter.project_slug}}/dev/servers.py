"""The embedded servers of this project."""

from dev.grpc import Downstream  # feature: grpc
from dev.kafka import Kafka  # feature: kafka
from dev.postgres import Postgres  # feature: postgres
from dev.sentinel import Sentinels  # feature: sentinel
from dev.server import Server
from dev.valkey import Valkey  # feature: redis

_KINDS: tuple[type[Server], ...] = (
    # Each runs when its variable is not set.
    Postgres,  # feature: postgres
    Valkey,  # feature: redis
    Sentinels,  # feature: sentinel
    Kafka,  # feature: kafka
    Downstream,  # feature: grpc
)

SERVERS = tuple(
    kind for kind in _KINDS if not any(kind.variable in other.instead_of for other in _KINDS)
)
"""Those that no other makes unnecessary."""
