"""Redis: settings, client and health check.

redis = Redis(settings)
await redis.client.get("key")
"""

from .client import Redis
from .settings import RedisSettings

__all__ = ["Redis", "RedisSettings"]
