"""Redis: settings, redis-py's client and health check.

redis = Redis(settings)
await redis.client.get("key")
"""

from .client import Redis as Redis
from .settings import RedisSettings as RedisSettings
