"""The composition root: the one module that knows all others. Read it from top to bottom."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import metadata
from typing import NamedTuple

from fastapi import FastAPI
from starlette.types import ASGIApp

from .api import API_DESCRIPTION, add_docs, add_error_handlers, add_error_responses
from .dependencies import Dependencies
from .dependencies.grpc import Grpc  # feature: grpc
from .dependencies.kafka import Kafka  # feature: kafka
from .dependencies.postgres import Postgres  # feature: postgres
from .dependencies.redis import Redis  # feature: redis
from .dependencies.sentinel import route_through_sentinel  # feature: sentinel
from .health import Probes, Registry
from .health.probes import PATHS
from .items import ItemStore, MemoryItems, items_router
from .items.cache import WITHOUT_REDIS, CachedItems  # feature: redis
from .items.events import WITHOUT_KAFKA, PublishingItemStore  # feature: kafka
from .items.postgres import PostgresItems, items_check  # feature: postgres
from .items.stock import WITHOUT_GRPC, stock_router  # feature: grpc
from .management import ManagementApp
from .middleware import REJECTED, concurrency_limit, middleware
from .operations import Switches, operations_mounts
from .redaction import RedactedResponses
from .resilience import EarlyRejection, OpenStreams
from .settings import (
    Settings,
    configure_checks,
    read_settings,
)
from .telemetry import (
    AccessLog,
    Counters,
    Instrumentation,
    ServiceInfo,
    suppress_tracing,
    watch_loop,
)
from .telemetry.observability import instrument  # feature: observability
from .traffic import RequestObserver, RequestOutcomes, record_rejections

TITLE = "Reference Service"
DISTRIBUTION = "reference-service"


class Service(NamedTuple):
    """One service, with what its two ports serve."""

    app: Probes  # for the service port
    api: FastAPI  # the application inside it
    management: ASGIApp  # for the management port
    early_rejection: EarlyRejection  # for the server, which asks it before it parses a request
    on_slow_client: Callable[[], None]  # counts a client that was disconnected because it was slow
    end_streams: Callable[[], None]  # for the server, which waits for no event stream on shutdown


def create_app(settings: Settings | None = None) -> Probes:
    """Return the service as one ASGI application, without its management port.

    Raises SettingsError if the settings cannot be used.
    """
    return create_service(settings or read_settings()).app


def create_service(settings: Settings) -> Service:
    """Compose the service. No connection is opened before the server starts it.

    Raises SettingsError if the settings cannot be used.
    """
    distribution = metadata(DISTRIBUTION)
    info = ServiceInfo(DISTRIBUTION, distribution["Version"])

    dependencies = Dependencies()
    postgres = dependencies.add(Postgres(settings.postgres))  # feature: postgres
    redis = dependencies.add(Redis(settings.redis), optional=WITHOUT_REDIS)  # feature: redis
    dependencies += route_through_sentinel(redis, settings.sentinel)  # feature: sentinel
    kafka = dependencies.add(Kafka(settings.kafka), optional=WITHOUT_KAFKA)  # feature: kafka
    grpc = dependencies.add(Grpc(settings.grpc), optional=WITHOUT_GRPC)  # feature: grpc

    items: ItemStore = MemoryItems()
    items = PostgresItems(postgres)  # feature: postgres
    items = CachedItems(items, redis.client, redis.report_failure, redis.is_down)  # feature: redis
    items = PublishingItemStore(items, kafka.publish)  # feature: kafka

    # Add checks of your own here: [..., Check("name", run)].
    outcomes = RequestOutcomes()
    switches = Switches(settings.service.operations_token)
    own_checks = [outcomes.check(), *switches.checks()]
    own_checks.append(items_check(postgres))  # feature: postgres
    checks = configure_checks([*dependencies.checks(), *own_checks])
    registry = Registry(checks, settings.health.options(), attempt_context=suppress_tracing)
    dependencies.connect_checks(registry)
    switches.on_change = registry.recheck

    counters = Counters(dependencies.metrics())
    monitoring = Instrumentation()
    monitoring = instrument(info, registry, counters, settings.traces)  # feature: observability

    access_log = AccessLog(
        slow_request_seconds=settings.service.slow_request_seconds,
        json_lines=settings.service.json_lines,
        version=info.version,
        user_agent=settings.service.log_user_agent,
    )
    observers: list[RequestObserver] = [access_log, outcomes, *monitoring.observers]
    limit, streams = concurrency_limit(settings.service, counters), OpenStreams()
    app = FastAPI(
        title=TITLE,
        summary=distribution["Summary"],
        description=API_DESCRIPTION,
        version=info.version,
        openapi_url=None,  # see `add_docs`
        generate_unique_id_function=lambda route: route.name,
        root_path=settings.service.root_path,
        lifespan=_lifespan(dependencies, counters, monitoring, access_log),
        middleware=middleware(
            settings.service, registry, limit, streams, observers, counters, switches
        ),
        redirect_slashes=False,  # a redirect would go to whatever host the client sent
        telemetry=monitoring.fastapi,
    )
    app.include_router(items_router(items))
    app.include_router(stock_router(grpc))  # feature: grpc
    add_docs(app)
    add_error_responses(app)
    rejects = counters.add(*REJECTED, reason="circuit_open")
    errors = dependencies.unavailable_errors(), dependencies.timeout_errors()
    add_error_handlers(app, *errors, on_reject=rejects)

    prefixes = {"", settings.service.root_path}  # a proxy may pass its prefix on, or not
    paths = {f"{prefix}{path}": probe for prefix in prefixes for path, probe in PATHS.items()}
    traced, trace = monitoring.wrap(app), monitoring.trace
    probes = Probes(traced, registry, trace=trace, paths=paths, recheck_status_codes=())
    mounts = {**monitoring.mounts, **operations_mounts(switches)}
    management = ManagementApp(registry, about=info.as_json(), mounts=mounts)
    slow_clients = counters.add("slow_client_disconnects_total", "Disconnected slow clients.")
    reject = record_rejections(observers)
    early = EarlyRejection(limit, unless=registry.unready, exempt=paths, on_reject=reject)
    private = RedactedResponses(management)
    return Service(probes, app, private, early, slow_clients, streams.end)


def _lifespan(
    dependencies: Dependencies,
    counters: Counters,
    monitoring: Instrumentation,
    access_log: AccessLog,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return the lifespan: it starts monitoring, and closes the dependencies on shutdown."""
    on_stall = counters.add(
        "event_loop_stalls_total", "Times that the event loop was blocked for over a second."
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        monitoring.on_startup(app)
        async with watch_loop(on_stall=on_stall, on_lag=monitoring.on_loop_lag):
            try:
                yield
                await dependencies.close()
            finally:
                await monitoring.close()  # last, because closing can be traced too
                access_log.flush()

    return lifespan
