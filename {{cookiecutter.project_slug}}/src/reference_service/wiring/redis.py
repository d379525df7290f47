"""Redis caches the items."""

from ..dependencies.redis import Redis, RedisSettings
from ..items.cache import CachedItems
from . import Assembly, Wiring


def _cache_items(service: Assembly, settings: RedisSettings) -> None:
    redis = service.resources.add(Redis(settings))
    service.store = CachedItems(service.store, redis.client)


WIRING = Wiring(RedisSettings, _cache_items)
