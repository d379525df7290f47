"""The check of the sentinels: they have a quorum, and the primary that they name responds."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from redis.exceptions import RedisError

from ...health import CheckResult, Status
from .failures import MasterUnknown, SentinelDown, primary_failure, quorum_failure
from .nodes import Node, NodeDown, NodeReport
from .settings import Address

log = logging.getLogger(__name__)

ATTEMPT_TIMEOUT = 0.4
"""Maximum seconds of an attempt, with the primary's response: less than the engine's timeout."""


class SentinelGroup:
    """The sentinels and the primary that they name, all checked in one attempt.

    ping: sends a PING to the primary itself. A sentinel calls an unresponsive primary healthy for
        `down-after-milliseconds`.
    on_failover: called when the sentinels name another primary than before.
    strict: whether the check fails, and does not only warn, if one sentinel is down.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        master: str,
        *,
        ping: Callable[[Address], Awaitable[None]],
        on_failover: Callable[[], Awaitable[None]],
        strict: bool,
    ) -> None:
        self._nodes = nodes
        self._master = master
        self._ping = ping
        self._on_failover = on_failover
        self._strict = strict
        self._primary: Address | None = None
        self._failovers = 0
        self._states = dict.fromkeys(nodes, "ok")

    async def check(self) -> CheckResult:
        """Pass if all sentinels are healthy and the primary responds. Warn if a sentinel is not."""
        deadline = asyncio.get_running_loop().time() + ATTEMPT_TIMEOUT
        results = await asyncio.gather(*(node.fetch_report(self._master) for node in self._nodes))
        self._log_changes(results)
        reports = [result for result in results if isinstance(result, NodeReport)]
        votes = Counter(report.primary for report in reports if report.primary)
        data: dict[str, object] = {node.name: state for node, state in self._states.items()}
        if reports and not votes:
            raise MasterUnknown("the sentinels do not monitor a primary of that name", **data)
        healthy = sum(report.has_quorum for report in reports)
        if 2 * healthy <= len(results):
            raise quorum_failure(results, data)

        [(primary, _)] = votes.most_common(1)
        await self._follow(primary)
        data["failovers"] = self._failovers
        failing_over = any(report.failing_over for report in reports)
        try:
            async with asyncio.timeout_at(deadline):
                await self._ping(primary)
        except (RedisError, OSError) as error:
            data["primary"] = type(error).__name__
            raise primary_failure(error, data, failing_over=failing_over) from error
        data["primary"] = "ok"

        if healthy < len(results):
            detail = f"{len(results) - healthy} of {len(results)} sentinels are down"
            if self._strict:
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
            failover = {"master": self._master, "from": previous, "to": primary}
            log.warning("primary changed; reconnecting", extra=failover)
            await self._on_failover()

    def _log_changes(self, results: Sequence[NodeReport | NodeDown]) -> None:
        """Log each change of a sentinel once, with its address, which no response contains."""
        for node, result in zip(self._nodes, results, strict=True):
            state = str(result)
            if state != self._states[node]:
                level = logging.INFO if state == "ok" else logging.WARNING
                reason = str(result.error) if isinstance(result, NodeDown) else ""
                extra = {"sentinel": node.name, "state": state, "address": node.address}
                log.log(level, "sentinel state changed", extra={**extra, "reason": reason})
            self._states[node] = state
