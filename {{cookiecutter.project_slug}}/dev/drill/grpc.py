"""Failures of a downstream gRPC service: it reports NOT_SERVING, or it does not respond."""

from dev.drill.step import Step
from dev.grpc import Downstream

GRPC = [
    Step(
        "A downstream service is NOT_SERVING",
        """
        It can be reached, and reports through grpc.health.v1 that it cannot serve now. A check
        of the connection alone would pass. This check calls the health service. `ready` warns,
        because only the route that reads the stock needs it: it answers 503.
        """,
        inject=lambda environment: environment[Downstream].set_status("NOT_SERVING"),
        repair=lambda environment: environment[Downstream].set_status("SERVING"),
        ready="200 warn",
        reason="grpc.downstream: ",
        server=Downstream,
    ),
    Step(
        "A downstream service is frozen",
        """
        Its port accepts connections, but no call gets a response. Each attempt has half a
        second. Then `ready` warns. The route that reads the stock answers 504 after its deadline
        of 0.8 s, and all other routes as before.
        """,
        inject=lambda environment: environment[Downstream].pause(),
        repair=lambda environment: environment[Downstream].resume(),
        ready="200 warn",
        reason="grpc.downstream: ",
        server=Downstream,
    ),
]
