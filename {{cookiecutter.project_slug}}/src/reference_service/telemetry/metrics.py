"""What Prometheus scrapes: the checks, the requests, and what other parts of the service count."""

from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus

from prometheus_client import Histogram, disable_created_metrics
from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from ..health import Probe, Registry, Status
from .counters import Counters, Metric
from .instrumentation import ServiceInfo
from .log_output import log_output
from .sliced_metrics import MetricsPage, SlicedHistogram

# Bounds in seconds. The objectives are among them, so that alerts are exact.
DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
WEBSOCKET_BUCKETS = (1, 10, 60, 600, 3600, 21600)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
STATUS_VALUES = {Status.PASS: 1.0, Status.WARN: 0.5, Status.FAIL: 0.0}


class Metrics(Collector):
    """The metrics of one service, each with its `service_id`; `page` serves them.

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
        self.requests = SlicedHistogram(
            "http_request_duration_seconds",
            "From a request's headers to the end of its response.",
            ("service_id", "method", "route", "status_code"),
            DURATION_BUCKETS,
        )
        store.register(self.requests)
        self.websockets = Histogram(
            "websocket_connection_duration_seconds",
            "From the handshake of a WebSocket to its end.",
            ("service_id", "route", "close_code"),
            buckets=WEBSOCKET_BUCKETS,
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
        self.page = MetricsPage(store)

    def collect(self) -> Iterator[Family]:
        """Yield the values that other objects keep, as they are now.

        Metrics of one name that differ only in their labels are one family.
        """
        families: dict[str, list[Metric]] = defaultdict(list)
        for metric in (*self._service_metrics(), *self._check_metrics(), *self._counters.metrics):
            families[metric.name].append(metric)
        for name, metrics in families.items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            labels = sorted(metrics[0].labels)
            family = kind(name, metrics[0].description, labels=["service_id", *labels])
            for metric in metrics:
                values = [metric.labels[label] for label in labels]
                family.add_metric([self.service_id, *values], float(metric.read()))
            yield family

    def _service_metrics(self) -> Iterator[Metric]:
        registry, cadence = self._registry, self._registry.cadence
        for name, description, value in (
            ("health_check_interval_seconds", "Interval of a check that passes.", cadence.interval),
            ("health_load_score", "Load from 0 (idle) to 1 (full).", cadence.score),
            ("health_draining", "1 while the process shuts down.", registry.draining),
            (
                "http_requests_in_flight",
                "Requests without a complete response.",
                registry.in_flight,
            ),
            ("websocket_connections_open", "WebSockets that are open.", registry.websockets),
            ("log_lines_dropped_total", "Lines that stdout did not take.", log_output.dropped),
        ):
            yield _metric(name, description, value)
        yield _metric("service_info", "1, with the version.", 1, version=self._version)
        for probe in Probe:
            answers_200 = registry.answer(probe).code == HTTPStatus.OK
            description = "1 while a probe answers 200."
            yield _metric("health_probe_status", description, answers_200, probe=probe)

    def _check_metrics(self) -> Iterator[Metric]:
        now = self._registry.clock()
        for name, monitor in self._registry.monitors.items():
            state, failures = monitor.state, monitor.state.consecutive_failures
            for metric, description, value in (
                ("status", "1 pass, 0.5 warn, 0 fail.", STATUS_VALUES[monitor.status(now)]),
                ("stale", "1 if the latest result has expired.", monitor.stale(now)),
                ("duration_seconds", "Duration of the latest attempt.", state.duration),
                ("consecutive_failures", "Failures since the last pass.", failures),
                ("attempts_total", "Attempts of a check.", state.attempts),
            ):
                yield _metric(f"health_check_{metric}", description, value, check=name)


def _metric(name: str, description: str, value: float, **labels: str) -> Metric:
    """Return a metric with the value that it has now."""
    return Metric(name, description, lambda: value, labels)
