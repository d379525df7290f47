"""The failures of the check of the sentinels, and which one a state is."""

from collections.abc import Mapping, Sequence

from redis.exceptions import AuthenticationError

from ...health import CheckFailed, PermanentFailure
from .nodes import NodeDown, NodeReport


class QuorumLost(CheckFailed):
    """Too few sentinels are left to replace a lost primary."""


class QuorumTimeout(QuorumLost, TimeoutError):  # noqa: N818
    """Too few sentinels are left, because the others did not respond in time."""


class AuthenticationFailed(PermanentFailure):
    """Every sentinel rejects the password."""


class MasterUnknown(PermanentFailure):
    """The sentinels do not monitor a primary of the configured name."""


class PrimaryDown(CheckFailed):
    """The primary does not respond, whatever the sentinels report about it."""


class PrimaryTimeout(PrimaryDown, TimeoutError):  # noqa: N818
    """The primary did not respond in time."""


class FailingOver(PrimaryDown):
    """The primary does not respond, and the sentinels are replacing it."""


class SentinelDown(CheckFailed):
    """A sentinel is down and `REDIS_SENTINEL_STRICT` is set."""


def quorum_failure(
    results: Sequence[NodeReport | NodeDown], data: Mapping[str, object]
) -> CheckFailed:
    """Return why there is no quorum."""
    errors = [node.error for node in results if isinstance(node, NodeDown)]
    rejections = [error for error in errors if isinstance(error, AuthenticationError)]
    if len(rejections) == len(results):
        return AuthenticationFailed("every sentinel rejects the password", **data)
    timed_out = errors and all(isinstance(error, TimeoutError) for error in errors)
    failure = QuorumTimeout if timed_out else QuorumLost
    return failure("too few sentinels are left to replace a lost primary", **data)


def primary_failure(
    error: Exception, data: Mapping[str, object], *, failing_over: bool
) -> CheckFailed:
    """Return the failure of a primary whose PING raised an error."""
    if failing_over:
        return FailingOver("the primary is down, and the sentinels replace it", **data)
    if isinstance(error, TimeoutError):
        return PrimaryTimeout("the primary does not respond", **data)
    return PrimaryDown("the primary cannot be reached", **data)
