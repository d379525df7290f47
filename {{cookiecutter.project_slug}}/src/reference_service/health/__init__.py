"""Health checks that report what the service can do now. Standard library only: copy this folder.

    from health import Check, Probes, Registry

    registry = Registry([Check("database", check_database)])
    app = Probes(app, registry)

A check is a function, `def` or `async def`: returning is a pass, raising is a failure. From now on
`GET /health/startup`, `/health/ready` and `/health/live` are answered from memory.

To read all of it, begin with `check` and `rules`. Then follow an attempt from the inside out:
`tasks`, `attempts`, `monitor`, `supervisor`, `answer`, `registry`, `probes`.
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
from .monitor import Monitor as Monitor
from .probes import Probes as Probes
from .registry import Registry as Registry
from .rules import CheckState as CheckState
from .rules import Options as Options
