"""Failures of the service itself: frozen, and shut down."""

import os
import signal

from dev.drill.environment import Environment
from dev.drill.snapshot import NO_RESPONSE
from dev.drill.step import Step


def replace_service(environment: Environment) -> None:
    """Wait until the process has ended, with status 0, and start another, as Kubernetes does."""
    former = environment.service
    environment.until(lambda: former.status is not None)
    environment.start_service()
    if former.status:
        raise RuntimeError(f"the service ended with status {former.status}")


SERVICE = [
    Step(
        "The service is frozen",
        """
        This time no dependency fails. The process itself is suspended, and no probe gets a
        response. This is the purpose of `live`: after three probes without a response,
        Kubernetes restarts the container. No other failure in this drill causes a restart.
        When the process continues, `ready` can be 503 for a moment, because its results have
        expired.
        """,
        inject=lambda environment: environment.service.pause(),
        repair=lambda environment: environment.service.resume(),
        ready=NO_RESPONSE,
        live=NO_RESPONSE,
    ),
    Step(
        "SIGTERM: the service shuts down",
        """
        `ready` turns 503 at once, and the port stays open for 5 s. Until every load balancer
        has noticed, requests still arrive and get responses. `live` stays 200, because a
        restart would cut these requests off. Then the process ends with status 0, and another
        one replaces it.
        """,
        inject=lambda environment: os.kill(environment.service.pids[0], signal.SIGTERM),
        repair=replace_service,
        ready="503",
        reason="shutdown: Draining",
    ),
]
