"""What Prometheus scrapes: the checks, the requests, and what other parts of the service count."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Histogram,
    disable_created_metrics,
    make_asgi_app,
)
from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp

from ..health import Answer, Monitor, Probe, Registry, Status
from .counters import Counters, Metric
from .instrumentation import ServiceInfo

DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
"""Seconds. The objectives are among the bounds, so that alerts are exact."""
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""Seconds."""
STATUS_VALUES = {Status.PASS: 1.0, Status.WARN: 0.5, Status.FAIL: 0.0}


class Metrics(Collector):
    """All metrics of one service, each with its `service_id`; `page` serves them.

    Values that other objects keep are read when Prometheus scrapes. Only requests and the event
    loop's lag are recorded as they happen. Clients that accept OpenMetrics also get exemplars.
    Metrics that are registered with `prometheus_client` in the usual way, without a registry of
    their own, are served too.

    counters: of the other parts of the service, and the values that they keep.
    """

    def __init__(self, info: ServiceInfo, registry: Registry, counters: Counters) -> None:
        self.service_id, self._version = info
        self._registry = registry
        self._counters = counters
        # Timestamps of creation would double the number of series, and no rule reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        store = CollectorRegistry()
        self.requests = Histogram(
            "http_request_duration_seconds",
            "From a request's headers to the end of its response.",
            ("service_id", "method", "route", "status_code"),
            buckets=DURATION_BUCKETS,
            registry=store,
        )
        lag = Histogram(
            "event_loop_lag_seconds",
            "Delay of due work on the event loop, measured ten times per second.",
            ("service_id",),
            buckets=LAG_BUCKETS,
            registry=store,
        )
        self.observe_lag = lag.labels(self.service_id).observe
        store.register(self)
        store.register(REGISTRY)
        self.page: ASGIApp = make_asgi_app(store)

    def describe(self) -> Iterable[Family]:
        """Return nothing, so that no value is read before the service is complete."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Yield the values that other objects keep, as they are now."""
        yield self._gauge("service_info", "1, with the version.", version={self._version: 1.0})
        yield from self._families([*self._engine_metrics(), *self._counters.metrics])
        answers = {probe.value: self._registry.answer(probe) for probe in Probe}
        probes = {name: float(answer.code == Answer.PASS.code) for name, answer in answers.items()}
        yield self._gauge("health_probe_status", "1 while a probe answers 200.", probe=probes)
        yield from self._check_families()

    def _engine_metrics(self) -> Iterator[Metric]:
        registry = self._registry
        yield Metric(
            "health_check_interval_seconds",
            "Time between two attempts of a check that passes.",
            lambda: registry.cadence.interval,
        )
        yield Metric(
            "health_load_score", "Load from 0 (idle) to 1 (full).", lambda: registry.cadence.score
        )
        yield Metric(
            "health_draining", "1 while the process shuts down.", lambda: registry.draining
        )
        yield Metric(
            "http_requests_in_flight",
            "Requests whose response has not ended.",
            lambda: registry.load.in_flight,
        )

    def _families(self, metrics: Iterable[Metric]) -> Iterator[Family]:
        """Group metrics by name: series that differ only in their labels are one family."""
        series: dict[str, list[Metric]] = defaultdict(list)
        for metric in metrics:
            series[metric.name].append(metric)
        for name, members in series.items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            labels = sorted(members[0].labels)
            family = kind(name, members[0].description, labels=["service_id", *labels])
            for metric in members:
                values = [metric.labels[label] for label in labels]
                family.add_metric([self.service_id, *values], float(metric.read()))
            yield family

    def _check_families(self) -> Iterator[Family]:
        now = self._registry.clock()
        monitors = self._registry.monitors
        gauges: dict[str, tuple[str, Callable[[Monitor], float]]] = {
            "status": ("1 pass, 0.5 warn, 0 fail.", lambda m: STATUS_VALUES[m.status(now)]),
            "stale": ("1 if the latest result has expired.", lambda m: m.stale(now)),
            "duration_seconds": ("Of the latest attempt.", lambda m: m.state.duration),
            "consecutive_failures": (
                "Failures since the last pass.",
                lambda m: m.state.consecutive_failures,
            ),
        }
        for name, (description, value) in gauges.items():
            values = {check: float(value(monitor)) for check, monitor in monitors.items()}
            yield self._gauge(f"health_check_{name}", description, check=values)
        attempts = CounterMetricFamily(
            "health_check_attempts", "Attempts of a check.", labels=["service_id", "check"]
        )
        for check, monitor in monitors.items():
            attempts.add_metric([self.service_id, check], monitor.state.attempts)
        yield attempts

    def _gauge(self, name: str, description: str, **values: dict[str, float]) -> Family:
        """Create a gauge with one label in addition to `service_id`, from its values."""
        [(label, value_of)] = values.items()
        gauge = GaugeMetricFamily(name, description, labels=["service_id", label])
        for key, value in value_of.items():
            gauge.add_metric([self.service_id, key], value)
        return gauge
