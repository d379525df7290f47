"""A downstream service broken: it says that it cannot serve, and it says nothing."""

from dev.drill.step import Step
from dev.grpc import Downstream

GRPC = [
    Step(
        "A downstream service is NOT_SERVING",
        """
        It can be reached, and says of itself by grpc.health.v1 that it cannot serve now. A
        check of the connection would pass; ours asks the question, and `ready` turns 503.
        """,
        breaks=lambda stage: stage[Downstream].set_status("NOT_SERVING"),
        mends=lambda stage: stage[Downstream].set_status("SERVING"),
        ready="503",
        names="grpc.downstream: ",
        server=Downstream,
    ),
    Step(
        "A downstream service is frozen",
        """
        Its port accepts connections, and no call is answered. Each attempt has half a
        second, then `ready` turns 504: silence, not refusal.
        """,
        breaks=lambda stage: stage[Downstream].pause(),
        mends=lambda stage: stage[Downstream].resume(),
        ready="504",
        names="grpc.downstream: ",
        server=Downstream,
    ),
]
