"""Redis: settings, client and health check."""

from .client import Redis, RedisSettings

__all__ = ["Redis", "RedisSettings"]
