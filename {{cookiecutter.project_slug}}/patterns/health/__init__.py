"""The health engine, where a copied check expects it: beside its folder."""

from reference_service.health import Answer as Answer
from reference_service.health import Check as Check
from reference_service.health import CheckFailed as CheckFailed
from reference_service.health import CheckResult as CheckResult
from reference_service.health import PermanentFailure as PermanentFailure
from reference_service.health import Probe as Probe
from reference_service.health import Registry as Registry
from reference_service.health import Status as Status
from reference_service.health import probes as probes
from reference_service.health import run_once as run_once
from reference_service.health import tasks as tasks
