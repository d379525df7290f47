"""Redis Sentinel: settings, client and health check.

sentinel = Sentinel(settings, url)
sentinel.route_clients(redis.client, redis.check_client)
"""

from .client import Sentinel
from .settings import SentinelSettings

__all__ = ["Sentinel", "SentinelSettings"]
