"""What requests and checks tell each other. Standard library and `health` only.

    app.add_middleware(Traffic, registry=registry)

`Traffic` measures the requests: checks run less often under load, and again when a request waits
for too long. A `CircuitBreaker` lets requests fail at once while a check fails.
"""

from .circuit_breaker import CircuitBreaker as CircuitBreaker
from .circuit_breaker import CircuitOpenError as CircuitOpenError
from .circuit_breaker import WorkAbandonedError as WorkAbandonedError
from .middleware import Traffic as Traffic
from .outcomes import RequestOutcomes as RequestOutcomes
from .record import RequestObserver as RequestObserver
from .record import RequestRecord as RequestRecord
from .record import record_rejections as record_rejections
