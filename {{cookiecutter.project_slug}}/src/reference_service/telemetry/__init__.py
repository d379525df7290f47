"""What the service reports about itself: logs, metrics, traces, and stalls of its event loop."""

from .access_log import AccessLog
from .counters import Counters, Metric
from .event_loop import watch_loop
from .instrumentation import Instrumentation, ServiceInfo
from .logs import configure_logging
from .request_id import RequestId
from .suppress import suppress_tracing

__all__ = [
    "AccessLog",
    "Counters",
    "Instrumentation",
    "Metric",
    "RequestId",
    "ServiceInfo",
    "configure_logging",
    "suppress_tracing",
    "watch_loop",
]
