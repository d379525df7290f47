"""The composition root: the one module that knows all the others."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from . import errors
from .environment import read
from .health import Probes, Registry
from .items import ItemStore, MemoryItems, items_router
from .items.cache import CachedItems  # feature: redis
from .items.postgres import PostgresItems  # feature: postgres
from .resilience import BodyLimit, Drain, LoadLimit, Recovery, Timeout
from .resources import Resources
from .resources.postgres import Postgres, PostgresSettings  # feature: postgres
from .resources.redis import Redis, RedisSettings  # feature: redis
from .settings import HealthSettings, ServiceSettings, configure_checks
from .telemetry import AccessLog

TITLE = "Reference Service"
DISTRIBUTION = "reference-service"


@dataclass(frozen=True)
class Settings:
    """All settings of the service, each part read from the environment on its own."""

    service: ServiceSettings
    health: HealthSettings
    postgres: PostgresSettings  # feature: postgres
    redis: RedisSettings  # feature: redis


def create_app(settings: Settings | None = None) -> Probes:
    """Put the service together; nothing is opened before the server starts it.

    Raises SettingsError when the settings cannot be used.
    """
    settings = settings or read(Settings)
    resources = Resources()
    store: ItemStore = MemoryItems()
    store = PostgresItems(resources.add(Postgres(settings.postgres)).engine)  # feature: postgres
    store = CachedItems(store, resources.add(Redis(settings.redis)).client)  # feature: redis

    registry = Registry(configure_checks(resources.checks()), settings.health.options())
    resources.watch(registry.suspect)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await resources.close()

    app = FastAPI(
        title=TITLE,
        version=version(DISTRIBUTION),
        lifespan=lifespan,
        middleware=_middleware(settings.service, registry),
        redirect_slashes=False,  # a redirect would repeat whatever host the client says
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.include_router(items_router(store))
    errors.install(app, {error for resource in resources for error in resource.unavailable})
    return Probes(app, registry)


def _middleware(settings: ServiceSettings, registry: Registry) -> list[Middleware]:
    """Return the layers between the probes and the application, outermost first."""
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    cors = Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"])
    return [
        Middleware(AccessLog, slow=settings.slo_p99, json_lines=settings.json_lines),
        *([cors] if origins else []),
        Middleware(Drain, draining=lambda: registry.draining),
        Middleware(LoadLimit, limit=settings.max_in_flight),
        Middleware(BodyLimit, max_bytes=settings.max_body),
        Middleware(Recovery),
        Middleware(Timeout, seconds=settings.request_timeout),
    ]
