"""Break the gRPC service that the service calls: its health status, its process, its responses."""

from uuid import UUID

from .environment import Environment
from .fail_fast import refused_at_once
from .harness import DETECTION, PERMANENT_DETECTION, RECOVERY, Action, Fault
from .probe_client import OK, WARN
from .truth import State


def set_status(status: str) -> Action:
    """Return an action that sets the status in the responses of `grpc.health.v1`."""
    return lambda env: env.downstream.set_status(status)


def restart(env: Environment) -> None:
    """Restart the gRPC service on the same port."""
    env.downstream.restart()


GRPC = [
    Fault(
        f"gRPC service reports {status}",
        set_status(status),
        set_status("SERVING"),
        ready_code=WARN,
        failure=f"grpc.downstream: {error}",
        detect_within=detect_within,
    )
    for status, error, detect_within in (
        ("NOT_SERVING", "NotServing", DETECTION),
        ("UNKNOWN", "", DETECTION),
        ("SERVICE_UNKNOWN", "", DETECTION),
        ("NOT_FOUND", "", PERMANENT_DETECTION),
        ("UNIMPLEMENTED", "", PERMANENT_DETECTION),
        ("PERMISSION_DENIED", "", PERMANENT_DETECTION),
        ("UNAVAILABLE", "", DETECTION),
    )
] + [
    Fault(
        "gRPC service is frozen",
        lambda env: env.downstream.pause(),
        lambda env: env.downstream.resume(),
        ready_code=WARN,
        clients=State.DEGRADED,
        failure="grpc.downstream: TimeoutError",
        verify=refused_at_once(f"/items/{UUID(int=1)}/stock"),
    ),
    Fault(
        "gRPC service is killed",
        lambda env: env.downstream.kill(),
        lambda env: env.downstream.start(),
        ready_code=WARN,
        clients=State.DEGRADED,
        failure="grpc.downstream: ",
    ),
    Fault(
        "gRPC service restarts",
        restart,
        ready_code=OK,
        hold=RECOVERY,
    ),
]
