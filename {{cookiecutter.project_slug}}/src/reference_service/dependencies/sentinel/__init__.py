"""Redis Sentinel: settings, client and health check.

    dependencies += route_through_sentinel(redis, settings)

The clients of `redis` then connect to the current primary.
"""

from .client import Sentinel, route_through_sentinel
from .settings import SentinelSettings

__all__ = ["Sentinel", "SentinelSettings", "route_through_sentinel"]
