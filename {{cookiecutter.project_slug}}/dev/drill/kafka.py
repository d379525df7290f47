"""Kafka broken: a partition without a leader, and no broker at all."""

from dev.drill.step import Step
from dev.kafka import Kafka

KAFKA = [
    Step(
        "A Kafka partition has no leader",
        """
        Every broker answers, and yet nobody takes the messages of one partition. `ready`
        turns 503 and ?verbose names the reason. When Kafka has elected a leader, all is
        well again.
        """,
        breaks=lambda stage: stage[Kafka].set_leader("items", 0, None),
        mends=lambda stage: stage[Kafka].set_leader("items", 0, 1),
        ready="503",
        names="kafka: NoLeader",
        server=Kafka,
    ),
    Step(
        "Every Kafka broker is down",
        """
        Connections are refused, so `ready` turns 503. No request waits for Kafka: the API
        answers all the while.
        """,
        breaks=lambda stage: stage[Kafka].brokers_down(),
        mends=lambda stage: stage[Kafka].brokers_up(),
        ready="503",
        names="kafka: ",
        server=Kafka,
    ),
]
