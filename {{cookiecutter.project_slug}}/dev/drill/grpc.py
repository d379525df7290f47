"""Failures of a downstream gRPC service: it reports NOT_SERVING, or it does not respond."""

from dev.drill.step import Step
from dev.grpc import Downstream

GRPC = [
    Step(
        "A downstream service is NOT_SERVING",
        """
        It can be reached, and reports through grpc.health.v1 that it cannot serve now. A check
        of the connection alone would pass. This check calls the health service, and `ready`
        turns 503.
        """,
        inject=lambda environment: environment[Downstream].set_status("NOT_SERVING"),
        repair=lambda environment: environment[Downstream].set_status("SERVING"),
        ready="503",
        reason="grpc.downstream: ",
        server=Downstream,
    ),
    Step(
        "A downstream service is frozen",
        """
        Its port accepts connections, but no call gets a response. Each attempt has half a
        second. Then `ready` turns 504, because every failure is a timeout and not a refusal.
        """,
        inject=lambda environment: environment[Downstream].pause(),
        repair=lambda environment: environment[Downstream].resume(),
        ready="504",
        reason="grpc.downstream: ",
        server=Downstream,
    ),
]
