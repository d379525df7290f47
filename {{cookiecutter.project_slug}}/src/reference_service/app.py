"""The composition root: the one module that knows all the others."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from importlib.metadata import metadata
from typing import NamedTuple

from fastapi import FastAPI
from pydantic_settings import BaseSettings
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from .api import errors, openapi
from .environment import Settings, read
from .health import ManagementApp, Probes, Registry
from .items import items_router
from .resilience import BodyLimit, ConcurrencyLimit, Drain, Recovery, Timeout
from .settings import HealthSettings, ServiceSettings, configure_checks
from .telemetry import AccessLog, watch_loop
from .wiring import Assembly, load

TITLE = "Reference Service"
DISTRIBUTION = "reference-service"

PARTS = load(
    # In this order: each may wrap what those before it have put together.
    "postgres",  # feature: postgres
    "redis",  # feature: redis
    "sentinel",  # feature: sentinel
    "kafka",  # feature: kafka
    "grpc",  # feature: grpc
    "observability",  # feature: observability
)
SETTINGS: tuple[type[BaseSettings], ...] = (
    ServiceSettings,
    HealthSettings,
    *(wiring.settings for wiring in PARTS),
)


class Service(NamedTuple):
    """One service: what everybody asks, what only its operators do, and what it has counted."""

    app: Probes
    management: ManagementApp
    tally: Counter[str]


def create_app(settings: Settings | None = None) -> Probes:
    """Return the service as one ASGI application, without its management port.

    Raises SettingsError when the settings cannot be used.
    """
    return create_service(settings or read(SETTINGS)).app


def create_service(settings: Settings) -> Service:
    """Put the service together; nothing is opened before the server starts it.

    Raises SettingsError when the settings cannot be used.
    """
    registry = Registry(options=settings[HealthSettings].options())
    distribution = metadata(DISTRIBUTION)
    service = Assembly(DISTRIBUTION, distribution["Version"], registry)
    for wiring in PARTS:
        wiring.add_to(service, settings)
    resources = service.resources
    for check in configure_checks(resources.checks()):
        registry.add(check)
    resources.on_failure(registry.recheck)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with watch_loop(tally=service.tally, on_beat=service.on_beat):
            yield
            await resources.close()
            for close in service.closing:
                await close()

    app = FastAPI(
        title=TITLE,
        summary=distribution["Summary"],
        description=openapi.ABOUT,
        version=service.version,
        generate_unique_id_function=lambda route: route.name,
        lifespan=lifespan,
        middleware=_middleware(settings[ServiceSettings], service),
        redirect_slashes=False,  # a redirect would repeat whatever host the client says
        telemetry=service.telemetry,
    )
    app.include_router(items_router(service.store))
    openapi.complete(app)
    errors.install(app, {error for resource in resources for error in resource.unavailable_errors})
    about = {"serviceId": service.name, "version": service.version}
    return Service(
        Probes(app, registry, trace=service.trace),
        ManagementApp(registry, about=about, mounts=service.pages),
        service.tally,
    )


def _middleware(settings: ServiceSettings, service: Assembly) -> list[Middleware]:
    """Return the layers between the probes and the application, outermost first."""
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    cors = Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"])
    registry, tally = service.registry, service.tally
    return [
        Middleware(AccessLog, slow=settings.slow_request_seconds, json_lines=settings.json_lines),
        *service.layers,
        *([cors] if origins else []),
        Middleware(Drain, draining=lambda: registry.draining),
        Middleware(ConcurrencyLimit, limit=settings.concurrency_limit, tally=tally),
        Middleware(BodyLimit, max_bytes=settings.max_body_bytes),
        Middleware(Recovery, tally=tally),
        Middleware(Timeout, seconds=settings.request_timeout, tally=tally),
    ]
