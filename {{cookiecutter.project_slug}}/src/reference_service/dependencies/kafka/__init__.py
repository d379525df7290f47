"""Kafka: settings, client and health check."""

from .client import Kafka, KafkaSettings

__all__ = ["Kafka", "KafkaSettings"]
