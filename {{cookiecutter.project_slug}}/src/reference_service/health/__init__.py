"""Health checks that tell the truth, in three lines. Standard library only: copy this folder.

    registry = Registry([Check("database", check_database)])
    app = Probes(app, registry)

and `from health import Check, Probes, Registry` above them. A check is an async callable:
returning is a pass, raising is a failure. `GET /health/startup`, `/health/ready` and
`/health/live` now answer from memory, whatever is broken. `ManagementApp(registry)` is an ASGI
application for a private port that tells what the probes keep to themselves.
"""

from .answer import Answer, Probe
from .check import AttemptContext, Check, CheckFailed, CheckResult, PermanentFailure, Status
from .management import ManagementApp
from .monitor import Monitor
from .options import Options
from .probes import Probes
from .registry import Registry
from .state import CheckState

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
    "Status",
]
