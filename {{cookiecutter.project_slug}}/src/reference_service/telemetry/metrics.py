"""What Prometheus reads: the verdicts, the requests, and the figures of what the service uses."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    make_asgi_app,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp

from ..health import Answer, Monitor, Probe, Registry, Status

DURATIONS = (0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
"""Seconds: bounds of the buckets. The objectives are among them, so alerts need not guess."""
LAGS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
STATUSES = {Status.PASS: 1.0, Status.WARN: 0.5, Status.FAIL: 0.0}
EVENTS = {
    "http_responses_aborted": "Responses that failed after they had begun, and were cut off.",
    "event_loop_stalls": "Times that the event loop was blocked for more than a second.",
    "http_unhandled_exceptions": "Requests whose handler raised what nobody caught.",
    "http_requests_rejected": "Requests that were answered 503 since too many were in flight.",
    "http_request_timeouts": "Requests that were answered 504.",
    "slow_client_disconnects": "Connections that were cut off since the client was too slow.",
}
"""The keys of the tally, and what they count."""

Figure = tuple[str, str, Callable[[], float]]
"""A name, a meaning, and how to read it; a name that ends in `_total` is a counter's."""


class Metrics(Collector):
    """All metrics of one service, each with its `service_id`; `page` serves them.

    What others keep is read when Prometheus asks: only requests and the loop's beats are noted as
    they come. OpenMetrics, with exemplars, is given to whoever accepts it.
    """

    def __init__(
        self,
        service_id: str,
        version: str,
        registry: Registry,
        tally: Counter[str],
        figures: Iterable[Figure],
    ) -> None:
        self.service_id = service_id
        self._version = version
        self._registry = registry
        self._figures: list[Figure] = [
            ("health_check_interval_seconds", "Between attempts of a check.", self._interval),
            ("health_load_score", "0 is idle, 1 is full.", lambda: registry.cadence.score),
            ("health_draining", "1 while the process is leaving.", lambda: registry.draining),
            ("http_requests_in_flight", "Being served now.", lambda: registry.load.in_flight),
            *((f"{name}_total", meaning, _count(tally, name)) for name, meaning in EVENTS.items()),
            *figures,
        ]
        # Series of when others began would double their number, and no rule reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        store = CollectorRegistry()
        labels = ("service_id", "method", "route", "status_code")
        self.requests = Histogram(
            "http_request_duration_seconds",
            "From a request's head to its response's end.",
            labels,
            buckets=DURATIONS,
            registry=store,
        )
        lag = Histogram(
            "event_loop_lag_seconds",
            "How late the event loop runs what is due, ten times a second.",
            ("service_id",),
            buckets=LAGS,
            registry=store,
        )
        self.observe_lag = lag.labels(service_id).observe
        store.register(self)
        ProcessCollector(registry=store)
        GCCollector(registry=store)
        self.page: ASGIApp = make_asgi_app(store)

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand, so that nothing is read before the service is whole."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield what others keep, as it is now."""
        now = self._registry.clock()
        yield self._gauge("service_info", "1, for its version.", version={self._version: 1.0})
        for name, meaning, read in self._figures:
            family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            metric = family(name, meaning, labels=["service_id"])
            metric.add_metric([self.service_id], float(read()))
            yield metric
        answers = {probe.value: self._registry.answer(probe) for probe in Probe}
        probes = {name: float(answer.code == Answer.PASS.code) for name, answer in answers.items()}
        yield self._gauge("health_probe_status", "1 while a probe answers 200.", probe=probes)
        of_checks: dict[str, tuple[str, Callable[[Monitor], float]]] = {
            "status": ("1 pass, 0.5 warn, 0 fail.", lambda m: STATUSES[m.status(now)]),
            "stale": ("1 while nobody has looked for too long.", lambda m: m.stale(now)),
            "duration_seconds": ("Of the latest attempt.", lambda m: m.state.duration),
            "consecutive_failures": ("In a row, up to now.", lambda m: m.state.failures),
        }
        monitors = self._registry.monitors
        for name, (meaning, value) in of_checks.items():
            values = {check: float(value(monitor)) for check, monitor in monitors.items()}
            yield self._gauge(f"health_check_{name}", meaning, check=values)
        attempts = CounterMetricFamily(
            "health_check_attempts", "Attempts of a check.", labels=["service_id", "check"]
        )
        for check, monitor in monitors.items():
            attempts.add_metric([self.service_id, check], monitor.state.attempts)
        yield attempts

    def _gauge(self, name: str, meaning: str, **values: dict[str, float]) -> Metric:
        """Make a gauge with one label beside `service_id`, from its values."""
        [(label, value_of)] = values.items()
        gauge = GaugeMetricFamily(name, meaning, labels=["service_id", label])
        for key, value in value_of.items():
            gauge.add_metric([self.service_id, key], value)
        return gauge

    def _interval(self) -> float:
        return self._registry.cadence.interval


def _count(tally: Counter[str], name: str) -> Callable[[], float]:
    return lambda: tally[name]
