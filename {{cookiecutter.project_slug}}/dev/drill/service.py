"""The service itself broken, and told to leave."""

import os
import signal

from dev.drill.environment import Stage
from dev.drill.snapshot import NO_ANSWER
from dev.drill.step import Step


def be_replaced(stage: Stage) -> None:
    """Wait for its end and start another, as Kubernetes does. It has to end with status 0."""
    ended = stage.service
    stage.until(lambda: ended.status is not None)
    stage.serve()
    if ended.status:
        raise RuntimeError(f"the service ended with status {ended.status}")


SERVICE = [
    Step(
        "The service is frozen",
        """
        Now it is not a dependency: the process itself stands still, and no probe gets an
        answer. This is what `live` is for. Kubernetes counts three silent ones and restarts
        the container; it does so for no other fault here. When the process goes on, `ready`
        may be 503 for a moment: what it knew has grown old.
        """,
        breaks=lambda stage: stage.service.pause(),
        mends=lambda stage: stage.service.resume(),
        ready=NO_ANSWER,
        live=NO_ANSWER,
    ),
    Step(
        "SIGTERM: the service is told to leave",
        """
        `ready` turns 503 at once, and the port stays open for 5 s: until every load
        balancer has heard of it, requests still come and are answered. `live` stays 200,
        since a restart would cut them off. Then the process ends with status 0, and another
        takes its place.
        """,
        breaks=lambda stage: os.kill(stage.service.pids[0], signal.SIGTERM),
        mends=be_replaced,
        ready="503",
        names="shutdown: Draining",
    ),
]
