"""What the Kafka check proves: that any one broker, asked now, knows leaders for every topic."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka import errors  # type: ignore[import-untyped]
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]

from ...health import Check, CheckFailed, CheckResult, PermanentFailure

PERMANENT = (
    errors.AuthenticationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.IncompatibleBrokerVersion,
    errors.InvalidTopicError,
    errors.SaslAuthenticationFailed,
    errors.TopicAuthorizationFailedError,
    errors.UnsupportedSaslMechanismError,
)

SHOWN = 10
"""How many of the partitions without a leader are named."""


class TopicMissing(PermanentFailure):
    """A topic does not exist."""


class NoLeader(CheckFailed):
    """Partitions have no leader, so nobody takes or gives their messages."""


def topics_check(
    ask: Callable[[MetadataRequest], Awaitable[dict[str, Any]]], topics: Sequence[str]
) -> Check:
    """Return the check that every topic exists, and that each of its partitions has a leader.

    The request says that it must not create topics, which brokers heed since Kafka 0.11: otherwise
    they create what they are asked for.
    """
    request = MetadataRequest(list(topics), allow_auto_topic_creation=False)

    async def check() -> CheckResult:
        answer = await ask(request)
        if missing := [topic["topic"] for topic in answer["topics"] if _is_missing(topic)]:
            raise TopicMissing("topics do not exist", topics=missing)
        leaders = {
            f"{topic['topic']}-{partition['partition']}": partition["leader"]
            for topic in answer["topics"]
            for partition in topic["partitions"]
        }
        # Leader -1 comes with the error code 0, so the codes of partitions say nothing.
        leaderless = [partition for partition, leader in leaders.items() if leader < 0]
        seen = {"brokers": len(answer["brokers"]), "partitions": len(leaders)}
        if leaderless:
            raise NoLeader("partitions have no leader", leaderless=leaderless[:SHOWN], **seen)
        return CheckResult(data=seen)

    return Check("kafka", check, permanent=PERMANENT, attributes={"messaging.system": "kafka"})


def _is_missing(topic: dict[str, Any]) -> bool:
    """Tell whether a topic does not exist. Raises what else is wrong with it."""
    error = errors.for_code(topic["error_code"])
    if error not in {errors.NoError, errors.UnknownTopicOrPartitionError}:
        raise error(topic["topic"])
    return error is errors.UnknownTopicOrPartitionError
