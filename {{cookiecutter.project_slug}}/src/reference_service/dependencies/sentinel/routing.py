"""Routes the clients of Redis through Sentinel if the settings name sentinels."""

from ...environment import SettingsError
from ..redis import Redis
from .client import Sentinel
from .settings import SentinelSettings


def route_through_sentinel(redis: Redis, settings: SentinelSettings) -> list[Sentinel]:
    """Route the clients of `redis` to the primary, and return the sentinels that report it.

    The list is empty if the settings name no sentinels. Raises SettingsError if neither
    REDIS_SENTINELS nor REDIS_URL is set.
    """
    if settings.sentinels:
        sentinel = Sentinel(settings, redis.settings.url.get_secret_value())
        sentinel.route_clients(redis.client, redis.check_client)
        redis.allow_replica = False
        return [sentinel]
    if "url" not in redis.settings.model_fields_set:
        raise SettingsError(
            ["REDIS_SENTINELS: not set, and neither is REDIS_URL. Set one of them."]
        )
    return []
