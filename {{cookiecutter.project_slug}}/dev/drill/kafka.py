"""Failures of Kafka: a partition without a leader, and no broker at all."""

from dev.drill.step import Step
from dev.kafka import Kafka

KAFKA = [
    Step(
        "A Kafka partition has no leader",
        """
        Every broker responds, but none accepts the messages of one partition. `ready` turns
        503, and ?verbose names the reason. When Kafka has elected a leader, the check passes
        again.
        """,
        inject=lambda environment: environment[Kafka].set_leader("items", 0, None),
        repair=lambda environment: environment[Kafka].set_leader("items", 0, 1),
        ready="503",
        reason="kafka: NoLeader",
        server=Kafka,
    ),
    Step(
        "Every Kafka broker is down",
        """
        Connections are refused, so `ready` turns 503. No request waits for Kafka, so the API
        still responds.
        """,
        inject=lambda environment: environment[Kafka].brokers_down(),
        repair=lambda environment: environment[Kafka].brokers_up(),
        ready="503",
        reason="kafka: ",
        server=Kafka,
    ),
]
