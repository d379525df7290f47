"""Health checks that report what the service can do now. Standard library only: copy this folder.

    from health import Check, Probes, Registry

    registry = Registry([Check("database", check_database)])
    app = Probes(app, registry)

A check is an async callable: returning is a pass, raising is a failure. `GET /health/startup`,
`/health/ready` and `/health/live` are now answered from memory. `ManagementApp(registry)` is an
ASGI application that shows details. It has no authentication: serve it on a private port only.
"""

from .answer import Answer, Probe
from .check import AttemptContext, Check, CheckFailed, CheckResult, PermanentFailure, Status
from .management import ManagementApp
from .monitor import Monitor
from .options import Options
from .outcomes import RequestOutcomes
from .probes import Probes
from .registry import Registry
from .state import CheckState
from .traffic import RequestObserver, RequestRecord, Traffic

__all__ = [
    "Answer",
    "AttemptContext",
    "Check",
    "CheckFailed",
    "CheckResult",
    "CheckState",
    "ManagementApp",
    "Monitor",
    "Options",
    "PermanentFailure",
    "Probe",
    "Probes",
    "Registry",
    "RequestObserver",
    "RequestOutcomes",
    "RequestRecord",
    "Status",
    "Traffic",
]
