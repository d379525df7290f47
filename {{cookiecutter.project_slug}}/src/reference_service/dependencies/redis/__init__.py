"""Redis: settings, client and health check.

    redis = Redis(settings)
    await redis.client.get("key")

The client is redis-py's.
"""

from .client import Redis
from .settings import RedisSettings

__all__ = ["Redis", "RedisSettings"]
