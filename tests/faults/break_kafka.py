"""Break Kafka: its brokers, its response times, its topics and the leaders of its partitions."""

from .environment import Environment
from .harness import DETECTION, PERMANENT_DETECTION, Fault
from .probe_client import OK, WARN

UNKNOWN_TOPIC, LEADER_NOT_AVAILABLE, TOPIC_AUTHORIZATION_FAILED = 3, 5, 29


def stop_one_broker_after_moving_its_partitions(env: Environment) -> None:
    """Make broker 1 the leader of all partitions, as Kafka does, and stop broker 2."""
    for partition in range(3):
        env.kafka.set_leader("items", partition, 1)
    env.kafka.brokers_down(2)


KAFKA = [
    Fault(
        "Kafka partition has no leader",
        lambda env: env.kafka.set_leader("items", 0, None),
        lambda env: env.kafka.set_leader("items", 0, 1),
        ready_code=WARN,
        failure="kafka: NoLeader",
    ),
    Fault(
        "Kafka denies access to the topic",
        lambda env: env.kafka.set_error("items", TOPIC_AUTHORIZATION_FAILED),
        lambda env: env.kafka.set_error("items", 0),
        ready_code=WARN,
        failure="kafka: ",
        detect_within=PERMANENT_DETECTION,
    ),
    Fault(
        "All Kafka brokers are down",
        lambda env: env.kafka.brokers_down(),
        lambda env: env.kafka.brokers_up(),
        ready_code=WARN,
        failure="kafka: Connection",
    ),
    Fault(
        "One of three Kafka brokers is down, with its partitions moved (still ready)",
        stop_one_broker_after_moving_its_partitions,
        lambda env: env.kafka.brokers_up(2),
        ready_code=OK,
        hold=DETECTION,
    ),
    Fault(
        "Kafka responds after 200 ms (still ready)",
        lambda env: env.kafka.delay(200),
        lambda env: env.kafka.delay(0),
        ready_code=OK,
        hold=DETECTION,
    ),
    Fault(
        "Kafka responds after 2 s",
        lambda env: env.kafka.delay(2000),
        lambda env: env.kafka.delay(0),
        ready_code=WARN,
        failure="kafka: TimeoutError",
        recover_within=4,
    ),
    Fault(
        "Kafka is frozen",
        lambda env: env.kafka.pause(),
        lambda env: env.kafka.resume(),
        ready_code=WARN,
        failure="kafka: TimeoutError",
    ),
    Fault(
        "Kafka has lost the topic",
        lambda env: env.kafka.set_error("items", UNKNOWN_TOPIC),
        lambda env: env.kafka.set_error("items", 0),
        ready_code=WARN,
        failure="kafka: TopicMissing",
    ),
    Fault(
        "Kafka elects leaders for too long",
        lambda env: env.kafka.set_error("items", LEADER_NOT_AVAILABLE),
        lambda env: env.kafka.set_error("items", 0),
        ready_code=WARN,
        failure="kafka: ",
    ),
    Fault(
        "Kafka restarts (still ready)",
        lambda env: env.kafka.restart(),
        ready_code=OK,
        max_failures=0,
        hold=3,
    ),
]
