"""Failures of Kafka: a partition without a leader, and no broker at all."""

from dev.drill.step import Step
from dev.kafka import Kafka

KAFKA = [
    Step(
        "A Kafka partition has no leader",
        """
        Every broker responds, but none accepts the messages of one partition. No request waits
        for Kafka, so `ready` stays 200. It warns, and ?verbose names the reason. Events are
        buffered until Kafka has elected a leader.
        """,
        inject=lambda environment: environment[Kafka].set_leader("items", 0, None),
        repair=lambda environment: environment[Kafka].set_leader("items", 0, 1),
        ready="200 warn",
        reason="kafka: NoLeader",
        server=Kafka,
    ),
    Step(
        "Every Kafka broker is down",
        """
        Connections are refused, and `ready` warns. The API responds as before. If the outage
        lasts, the oldest events are dropped and counted.
        """,
        inject=lambda environment: environment[Kafka].brokers_down(),
        repair=lambda environment: environment[Kafka].brokers_up(),
        ready="200 warn",
        reason="kafka: ",
        server=Kafka,
    ),
]
