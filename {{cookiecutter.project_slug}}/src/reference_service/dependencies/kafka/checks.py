"""The Kafka check: one broker, asked now, reports a leader for every partition of every topic."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka import errors  # type: ignore[import-untyped]
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]

from ...health import Check, CheckFailed, CheckResult, PermanentFailure

PERMANENT_ERRORS = (
    errors.AuthenticationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.IncompatibleBrokerVersion,
    errors.InvalidTopicError,
    errors.SaslAuthenticationFailed,
    errors.TopicAuthorizationFailedError,
    errors.UnsupportedSaslMechanismError,
)
MAX_LISTED_PARTITIONS = 10  # without a leader, in one result


class TopicMissing(PermanentFailure):
    """A topic does not exist."""


class NoLeader(CheckFailed):
    """Partitions have no leader, so their messages can be neither written nor read."""


def topics_check(
    fetch_metadata: Callable[[MetadataRequest], Awaitable[dict[str, Any]]], topics: Sequence[str]
) -> Check:
    """Return the check that every topic exists and each of its partitions has a leader."""
    # Without the flag, brokers create the topics that they are asked about. Kafka 0.11 added it.
    request = MetadataRequest(list(topics), allow_auto_topic_creation=False)

    async def check() -> CheckResult:
        metadata = await fetch_metadata(request)
        if missing := [topic["topic"] for topic in metadata["topics"] if _is_missing(topic)]:
            raise TopicMissing("topics do not exist", topics=missing)
        leaders = {
            f"{topic['topic']}-{partition['partition']}": partition["leader"]
            for topic in metadata["topics"]
            for partition in topic["partitions"]
        }
        # Leader -1 comes with the error code 0, so the error codes of partitions say nothing.
        leaderless = [partition for partition, leader in leaders.items() if leader < 0]
        data = {"brokers": len(metadata["brokers"]), "partitions": len(leaders)}
        if leaderless:
            listed = leaderless[:MAX_LISTED_PARTITIONS]
            raise NoLeader("partitions have no leader", leaderless=listed, **data)
        return CheckResult(data=data)

    attributes = {"messaging.system": "kafka"}
    return Check("kafka", check, permanent=PERMANENT_ERRORS, attributes=attributes)


def _is_missing(topic: dict[str, Any]) -> bool:
    """Return whether a topic does not exist. Raises the topic's error if it has another one."""
    error = errors.for_code(topic["error_code"])
    if error not in {errors.NoError, errors.UnknownTopicOrPartitionError}:
        raise error(topic["topic"])
    return error is errors.UnknownTopicOrPartitionError
