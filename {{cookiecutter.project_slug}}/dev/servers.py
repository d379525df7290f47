"""The embedded servers of this project."""

from dev.kafka import Kafka  # feature: kafka
from dev.postgres import Postgres  # feature: postgres
from dev.server import Server
from dev.valkey import Valkey  # feature: redis

SERVERS: tuple[type[Server], ...] = (
    # Each runs when its variable is not set.
    Postgres,  # feature: postgres
    Valkey,  # feature: redis
    Kafka,  # feature: kafka
)
