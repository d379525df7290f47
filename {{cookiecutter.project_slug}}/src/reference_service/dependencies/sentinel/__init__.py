"""Redis Sentinel: settings, client and health check."""

from .client import Sentinel, SentinelSettings

__all__ = ["Sentinel", "SentinelSettings"]
