"""A Django application without health checks. It runs under an ASGI server."""

import asyncio
import os
from urllib.parse import urlsplit

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.cache import cache
from django.core.handlers.asgi import ASGIHandler
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT = 5

database = urlsplit(os.environ["DATABASE_URL"])
SETTINGS = {
    "ALLOWED_HOSTS": ["127.0.0.1"],
    "SECRET_KEY": "for a measurement",
    "ROOT_URLCONF": __name__,
    "MIDDLEWARE": ["django.middleware.common.CommonMiddleware"],
    "DATABASES": {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database.path.strip("/"),
            "USER": database.username,
            "PASSWORD": database.password,
            "HOST": database.hostname,
            "PORT": database.port,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {
                "pool": {"min_size": 5, "max_size": 5, "timeout": TIMEOUT},
                "connect_timeout": TIMEOUT,
            },
        }
    },
    "CACHES": {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["REDIS_URL"],
            "OPTIONS": {
                "socket_timeout": TIMEOUT,
                "socket_connect_timeout": TIMEOUT,
                "retry": Retry(NoBackoff(), 0),
            },
        }
    },
}


async def hello(_: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


def create_item(_: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO items VALUES ('Lamp')")
    cache.set("item", "Lamp")
    return HttpResponse("created")


async def tasks(_: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(asyncio.all_tasks())))


urlpatterns = [path("hello", hello), path("items", create_item), path("tasks", tasks)]


def create_application(**more: object) -> ASGIHandler:
    """Return the application, with these settings in addition."""
    settings.configure(**SETTINGS, **more)
    return get_asgi_application()
