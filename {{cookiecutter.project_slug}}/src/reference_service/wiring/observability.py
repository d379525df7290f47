"""Prometheus and OpenTelemetry are told what the service does."""

from starlette.middleware import Middleware

from ..telemetry.metrics import Metrics
from ..telemetry.request_metrics import RequestMetrics
from ..telemetry.traces import TraceSettings
from . import Assembly, Wiring


def _show(service: Assembly, settings: TraceSettings) -> None:
    metrics = Metrics(
        service.name, service.version, service.registry, service.tally, service.figures
    )
    service.pages["/metrics"] = metrics.page
    service.layers.append(Middleware(RequestMetrics, metrics=metrics))
    service.on_beat = metrics.observe_lag


OBSERVABILITY = Wiring(TraceSettings, _show)
