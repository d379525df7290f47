"""Health checks that report what the service can do now. Standard library only: copy this folder.

    from health import Check, Probes, Registry

    registry = Registry([Check("database", check_database)])
    app = Probes(app, registry)

A check is an async callable: returning is a pass, raising is a failure. `GET /health/startup`,
`/health/ready` and `/health/live` are now answered from memory. `ManagementApp(registry)` is an
ASGI application that shows details. It has no authentication: serve it on a private port only.
"""

from .answer import Answer as Answer
from .answer import Probe as Probe
from .attempts import run_once as run_once
from .check import AttemptContext as AttemptContext
from .check import Check as Check
from .check import CheckFailed as CheckFailed
from .check import CheckResult as CheckResult
from .check import PermanentFailure as PermanentFailure
from .check import Status as Status
from .circuit_breaker import CircuitBreaker as CircuitBreaker
from .circuit_breaker import CircuitOpenError as CircuitOpenError
from .circuit_breaker import WorkAbandonedError as WorkAbandonedError
from .management import ManagementApp as ManagementApp
from .monitor import Monitor as Monitor
from .options import Options as Options
from .outcomes import RequestOutcomes as RequestOutcomes
from .probes import Probes as Probes
from .registry import Registry as Registry
from .state import CheckState as CheckState
from .traffic import RequestObserver as RequestObserver
from .traffic import RequestRecord as RequestRecord
from .traffic import Traffic as Traffic
from .traffic import record_rejections as record_rejections
