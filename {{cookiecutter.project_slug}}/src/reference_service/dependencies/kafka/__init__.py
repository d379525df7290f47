"""Kafka: settings, a client that never waits for the brokers, and a health check.

kafka = Kafka(settings)
kafka.publish(key, value)
"""

from .client import Kafka as Kafka
from .settings import KafkaSettings as KafkaSettings
