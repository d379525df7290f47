"""The check of the sentinels: they have a quorum, and the primary that they name responds."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from redis.exceptions import AuthenticationError, RedisError

from ...health import CheckFailed, CheckResult, PermanentFailure, Status
from ..tls import explain
from .nodes import Node, NodeDown, NodeReport
from .settings import Address

log = logging.getLogger(__name__)

ATTEMPT_TIMEOUT = 0.4  # seconds for all sentinels and the primary: less than the engine's timeout


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


@dataclass(eq=False)
class SentinelGroup:
    """The sentinels and the primary that they name, all checked in one attempt.

    ping: sends a PING to the primary itself. A sentinel calls an unresponsive primary healthy for
        `down-after-milliseconds`.
    on_failover: called when the sentinels name another primary than before.
    strict: whether the check fails, and does not only warn, if one sentinel is down.
    """

    nodes: Sequence[Node]
    master: str
    ping: Callable[[Address], Awaitable[None]]
    on_failover: Callable[[], Awaitable[None]]
    strict: bool
    _primary: Address | None = field(default=None, init=False)
    _failovers: int = field(default=0, init=False)
    _states: dict[Node, str] = field(default_factory=dict, init=False)

    async def check(self) -> CheckResult:
        """Pass if all sentinels are healthy and the primary responds. Warn if a sentinel is not."""
        deadline = asyncio.get_running_loop().time() + ATTEMPT_TIMEOUT
        results = await asyncio.gather(*(node.fetch_report(self.master) for node in self.nodes))
        self._log_changes(results)
        reports = [result for result in results if isinstance(result, NodeReport)]
        votes = Counter(report.primary for report in reports if report.primary)
        data: dict[str, object] = {node.name: state for node, state in self._states.items()}
        if reports and not votes:
            raise MasterUnknown("the sentinels do not monitor a primary of that name", **data)
        healthy = sum(report.has_quorum for report in reports)
        if 2 * healthy <= len(results):
            raise _quorum_failure(results, data)

        [(primary, _)] = votes.most_common(1)
        await self._follow(primary)
        data["failovers"] = self._failovers
        failing_over = any(report.failing_over for report in reports)
        try:
            async with asyncio.timeout_at(deadline):
                await self.ping(primary)
        except (RedisError, OSError) as error:
            data["primary"] = type(error).__name__
            raise _primary_failure(error, data, failing_over=failing_over) from error
        data["primary"] = "ok"

        if healthy < len(results):
            detail = f"{len(results) - healthy} of {len(results)} sentinels are down"
            if self.strict:
                raise SentinelDown(detail, **data)
            return CheckResult(Status.WARN, detail, data)
        if failing_over:
            return CheckResult(Status.PASS, "the sentinels replace the primary", data)
        if len(votes) > 1:
            return CheckResult(Status.WARN, "the sentinels name different primaries", data)
        return CheckResult(data=data)

    async def _follow(self, primary: Address) -> None:
        """Store the primary, and report a failover if it is another one than before."""
        previous, self._primary = self._primary, primary
        if previous not in (None, primary):
            self._failovers += 1
            failover = {"master": self.master, "from": previous, "to": primary}
            log.warning("primary changed; reconnecting", extra=failover)
            await self.on_failover()

    def _log_changes(self, results: Sequence[NodeReport | NodeDown]) -> None:
        """Log each change of a sentinel once, with its address, which no response contains."""
        for node, result in zip(self.nodes, results, strict=True):
            state = str(result)
            if state != self._states.get(node, "ok"):
                level = logging.INFO if state == "ok" else logging.WARNING
                reason = str(result.error) if isinstance(result, NodeDown) else ""
                extra = {"sentinel": node.name, "state": state, "address": node.address}
                log.log(level, "sentinel state changed", extra={**extra, "reason": reason})
            self._states[node] = state


def _quorum_failure(
    results: Sequence[NodeReport | NodeDown], data: Mapping[str, object]
) -> CheckFailed:
    errors = [node.error for node in results if isinstance(node, NodeDown)]
    for explained in filter(None, map(explain, errors)):
        return explained
    rejections = [error for error in errors if isinstance(error, AuthenticationError)]
    if len(rejections) == len(results):
        return AuthenticationFailed("every sentinel rejects the password", **data)
    timed_out = errors and all(isinstance(error, TimeoutError) for error in errors)
    failure = QuorumTimeout if timed_out else QuorumLost
    return failure("too few sentinels are left to replace a lost primary", **data)


def _primary_failure(
    error: Exception, data: Mapping[str, object], *, failing_over: bool
) -> CheckFailed:
    """Return the failure of a primary whose PING raised an error."""
    if explained := explain(error):
        return explained
    if failing_over:
        return FailingOver("the primary is down, and the sentinels replace it", **data)
    if isinstance(error, TimeoutError):
        return PrimaryTimeout("the primary does not respond", **data)
    return PrimaryDown("the primary cannot be reached", **data)
