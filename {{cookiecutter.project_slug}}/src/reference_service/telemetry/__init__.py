"""What the service reports about itself: logs, metrics, traces, and stalls of its event loop."""

from .access_log import AccessLog as AccessLog
from .counters import Counters as Counters
from .counters import Metric as Metric
from .event_loop import watch_loop as watch_loop
from .instrumentation import Instrumentation as Instrumentation
from .instrumentation import ServiceInfo as ServiceInfo
from .logs import configure_logging as configure_logging
from .request_id import RequestId as RequestId
from .suppress import suppress_tracing as suppress_tracing
