"""Route a Redis client through Sentinel, if the settings name any sentinels."""

from ...environment import SettingsError
from ..redis import Redis
from .client import Sentinel
from .settings import SentinelSettings


def route_through_sentinel(redis: Redis, settings: SentinelSettings) -> list[Sentinel]:
    """Return the sentinels that from now on tell `redis` where the primary is; none without any.

    Raises SettingsError if the settings say in neither way where Redis is.
    """
    if settings.sentinels:
        sentinel = Sentinel(settings, redis.settings.url.get_secret_value())
        sentinel.route_clients(redis.client, redis.check_client)
        redis.allow_replica = False
        return [sentinel]
    if "url" not in redis.settings.model_fields_set:
        raise SettingsError(
            ["REDIS_SENTINELS: not set, and neither is REDIS_URL. One must say where Redis is."]
        )
    return []
