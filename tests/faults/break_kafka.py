"""Kafka broken: its brokers, its network, its topics and their leaders."""

from .environment import Rig
from .harness import AT_ONCE, DETECTION, Fault


def move_and_lose_a_broker(rig: Rig) -> None:
    """Have one broker lead all partitions, as Kafka does when another goes."""
    for partition in range(3):
        rig.kafka.set_leader("items", partition, 1)
    rig.kafka.brokers_down(2)


KAFKA = [
    Fault(
        "A Kafka partition has no leader",
        lambda rig: rig.kafka.set_leader("items", 0, None),
        lambda rig: rig.kafka.set_leader("items", 0, 1),
        blames="kafka: NoLeader",
    ),
    Fault(
        "Kafka forbids the topic",
        lambda rig: rig.kafka.set_error("items", 29),
        lambda rig: rig.kafka.set_error("items", 0),
        blames="kafka: ",
        within=AT_ONCE,
        back=AT_ONCE,
    ),
    Fault(
        "Every Kafka broker is down",
        lambda rig: rig.kafka.brokers_down(),
        lambda rig: rig.kafka.brokers_up(),
        blames="kafka: Connection",
    ),
    Fault(
        "One of three Kafka brokers is down, and its partitions have moved (no fault)",
        move_and_lose_a_broker,
        lambda rig: rig.kafka.brokers_up(2),
        ready=200,
        hold=DETECTION,
    ),
    Fault(
        "Kafka answers after 200 ms (no fault: it answers)",
        lambda rig: rig.kafka.delay(200),
        lambda rig: rig.kafka.delay(0),
        ready=200,
        hold=DETECTION,
    ),
    Fault(
        "Kafka answers after 2 s",
        lambda rig: rig.kafka.delay(2000),
        lambda rig: rig.kafka.delay(0),
        ready=504,
        blames="kafka: TimeoutError",
        back=4,
    ),
    Fault(
        "Kafka is frozen",
        lambda rig: rig.kafka.pause(),
        lambda rig: rig.kafka.resume(),
        ready=504,
        blames="kafka: TimeoutError",
    ),
]
