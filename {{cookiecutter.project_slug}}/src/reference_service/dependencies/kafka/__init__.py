"""Kafka: settings, client and health check.

kafka = Kafka(settings)
kafka.publish(key, value)
"""

from .client import Kafka
from .settings import KafkaSettings

__all__ = ["Kafka", "KafkaSettings"]
