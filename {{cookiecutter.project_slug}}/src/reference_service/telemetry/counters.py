"""Values that monitoring reads: event counters, and numbers that other objects keep."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

Increment = Callable[[], None]  # counts one event


@dataclass(frozen=True, slots=True)
class Metric:
    """One value, read at each scrape: a counter if its name ends in `_total`, else a gauge."""

    name: str
    description: str
    read: Callable[[], float]
    labels: Mapping[str, str] = field(default_factory=dict)  # every metric has `service_id` as well


class Counters:
    """Create event counters, and list them for monitoring.

        on_timeout = counters.add("http_request_timeouts_total", "Requests answered 504.")
        app.add_middleware(Timeout, seconds=10, on_timeout=on_timeout)

    A counter starts at 0 when it is created: `rate()` does not see the first event of a series that
    starts at 1.

    metrics: values that other objects keep, listed together with the counters.
    """

    def __init__(self, metrics: Iterable[Metric] = ()) -> None:
        self.metrics = list(metrics)

    def add(self, name: str, description: str, **labels: str) -> Increment:
        """Create a counter, and return the function that counts one event."""
        count = 0

        def increment() -> None:
            nonlocal count
            count += 1

        self.metrics.append(Metric(name, description, lambda: count, labels))
        return increment
