"""Redis is where the sentinels say, if there are any."""

from ..dependencies.redis import Redis
from ..dependencies.sentinel import Sentinel, SentinelSettings
from ..environment import SettingsError
from . import Assembly, Wiring


def _lead_redis(service: Assembly, settings: SentinelSettings) -> None:
    [redis] = [resource for resource in service.resources if isinstance(resource, Redis)]
    if settings.sentinels:
        url = redis.settings.url.get_secret_value()
        sentinel = service.resources.add(Sentinel(settings, url))
        sentinel.route_clients(redis.client, redis.check_client)
        redis.allow_replica = False
    elif "url" not in redis.settings.model_fields_set:
        sentence = (
            "REDIS_SENTINELS: not set, and neither is REDIS_URL. One has to say where Redis is."
        )
        raise SettingsError([sentence])


WIRING = Wiring(SentinelSettings, _lead_redis)
