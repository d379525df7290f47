"""Redis Sentinel: settings, client and health check.

    dependencies += route_through_sentinel(redis, settings)

The clients of `redis` then connect to the current primary.
"""

from .client import Sentinel as Sentinel
from .client import route_through_sentinel as route_through_sentinel
from .settings import SentinelSettings as SentinelSettings
