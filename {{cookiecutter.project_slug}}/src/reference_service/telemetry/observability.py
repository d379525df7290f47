"""Prometheus metrics and OpenTelemetry traces of a service."""

from dataclasses import replace
from functools import partial

from ..health import Registry
from .counters import Counters
from .health_traces import TRACER, HealthTraces, HealthTraceSampler
from .instrumentation import Instrumentation, ServiceInfo
from .metrics import Metrics
from .request_metrics import RequestMetrics
from .trace_sampling import TraceIds, UnsampledRequests, request_sampler
from .trace_settings import TraceSettings
from .traces import Tracing, trace_clients


def instrument(
    info: ServiceInfo, registry: Registry, counters: Counters, settings: TraceSettings
) -> Instrumentation:
    """Return the instrumentation of a service: `/metrics`, and traces if a collector is configured.

    Counters that are added later are served too.
    """
    metrics = Metrics(info, registry, counters)
    on_drop = counters.add("forced_traces_dropped_total", "Forced traces beyond the limit.")
    requests = RequestMetrics(metrics, traced=bool(settings.url))
    instrumentation = Instrumentation(
        observers=(requests,),
        mounts={"/metrics": metrics.page},
        on_startup=requests.initialize_series,
        on_loop_lag=metrics.observe_lag,
    )
    if not settings.url:
        return instrumentation
    tracing = Tracing(settings, info)
    sampler, ids = request_sampler(settings, on_drop), TraceIds()
    provider = tracing.provider(sampler, ids)
    trace_clients(provider)
    tracer = tracing.provider(HealthTraceSampler()).get_tracer(TRACER)
    return replace(
        instrumentation,
        fastapi={
            **instrumentation.fastapi,
            "tracing": True,
            "tracer_provider": provider,
            "operation_spans": False,  # most of the cost, and the wait is rarely in the handler
        },
        wrap=partial(UnsampledRequests, sampler=sampler, ids=ids),
        trace=HealthTraces(tracer, registry, settings.semconv_stability_opt_in),
        close=tracing.close,
    )
