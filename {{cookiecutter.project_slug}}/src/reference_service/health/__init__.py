"""Health checks that tell the truth, in three lines. Standard library only: copy this folder.

    registry = Registry([Check("database", check_database)])
    app = Probes(app, registry)

and `from health import Check, Probes, Registry` above them. A check is an async callable:
returning is a pass, raising is a failure. `GET /health/startup`, `/health/ready` and
`/health/live` now answer from memory, whatever is broken. `Details(registry)` is an ASGI
application for a private port that tells what the probes keep to themselves.
"""

from .answer import Answer, Probe
from .check import Around, Check, CheckFailed, CheckResult, PermanentFailure, Status
from .details import Details
from .monitor import Monitor
from .options import Options
from .probes import Probes
from .registry import Registry
from .verdict import Verdict

__all__ = [
    "Answer",
    "Around",
    "Check",
    "CheckFailed",
    "CheckResult",
    "Details",
    "Monitor",
    "Options",
    "PermanentFailure",
    "Probe",
    "Probes",
    "Registry",
    "Status",
    "Verdict",
]
