"""Prometheus and OpenTelemetry learn what the service does."""

from starlette.middleware import Middleware

from ..telemetry.health_traces import TRACER, HealthTraces, HealthTraceSampler, suppress_tracing
from ..telemetry.metrics import Metrics
from ..telemetry.request_metrics import RequestMetrics
from ..telemetry.trace_settings import TraceSettings
from ..telemetry.traces import Tracing, trace_clients
from . import Assembly, Wiring


def _observe(service: Assembly, settings: TraceSettings) -> None:
    _measure(service, traced=bool(settings.url))
    if settings.url:
        _trace(service, settings)


def _measure(service: Assembly, *, traced: bool) -> None:
    metrics = Metrics(
        service.name, service.version, service.registry, service.tally, service.figures
    )
    service.pages["/metrics"] = metrics.page
    service.layers.append(Middleware(RequestMetrics, metrics=metrics, traced=traced))
    service.on_beat = metrics.observe_lag


def _trace(service: Assembly, settings: TraceSettings) -> None:
    tracing = Tracing(settings, service.name, service.version)
    provider = tracing.provider()
    trace_clients(provider)
    service.telemetry |= {
        "tracing": True,
        "tracer_provider": provider,
        "operation_spans": False,  # the dear part, and handlers are not what one waits for
    }
    service.registry.attempt_context = suppress_tracing
    tracer = tracing.provider(HealthTraceSampler()).get_tracer(TRACER)
    service.trace = HealthTraces(tracer, service.registry, settings.semconv_stability_opt_in)
    service.closing.append(tracing.close)


WIRING = Wiring(TraceSettings, _observe)
