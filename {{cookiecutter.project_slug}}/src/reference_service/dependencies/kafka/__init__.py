"""Kafka: settings, client and health check.

    kafka = Kafka(settings)
    kafka.publish(key, value)

Publishing never waits for the brokers.
"""

from .client import Kafka
from .settings import KafkaSettings

__all__ = ["Kafka", "KafkaSettings"]
