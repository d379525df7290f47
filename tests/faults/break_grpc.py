"""A downstream gRPC service broken: what it says of itself, and that it says nothing."""

from .environment import Rig
from .harness import AT_ONCE, DETECTION, RECOVERY, Act, Fault


def says(status: str) -> Act:
    """Return what has the downstream service answer so when it is asked for its health."""
    return lambda rig: rig.downstream.set_status(status)


def restart(rig: Rig) -> None:
    """Restart it on the same port."""
    rig.downstream.restart()


GRPC = [
    Fault(
        f"A downstream service is {status}",
        says(status),
        says("SERVING"),
        blames=f"grpc.downstream: {error}",
        within=within,
        back=back,
    )
    for status, error, within, back in (
        ("NOT_SERVING", "NotServing", DETECTION, RECOVERY),
        ("UNKNOWN", "", DETECTION, RECOVERY),
        ("SERVICE_UNKNOWN", "", DETECTION, AT_ONCE),
        ("NOT_FOUND", "", AT_ONCE, AT_ONCE),
        ("UNIMPLEMENTED", "", AT_ONCE, AT_ONCE),
        ("PERMISSION_DENIED", "", AT_ONCE, AT_ONCE),
        ("UNAVAILABLE", "", DETECTION, RECOVERY),
    )
] + [
    Fault(
        "A downstream service is frozen",
        lambda rig: rig.downstream.pause(),
        lambda rig: rig.downstream.resume(),
        ready=504,
        blames="grpc.downstream: TimeoutError",
    ),
    Fault(
        "A downstream service is dead",
        lambda rig: rig.downstream.kill(),
        lambda rig: rig.downstream.start(),
        blames="grpc.downstream: ",
    ),
    Fault(
        "A downstream service restarts",
        restart,
        ready=200,
        hold=RECOVERY,
        also=frozenset({503, 504}),
    ),
]
