"""What the check of the sentinels proves, and in which words it fails."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from redis.exceptions import RedisError

from ...health import Check, CheckFailed, CheckResult, PermanentFailure, Status
from .nodes import Address, Lost, Node, View

log = logging.getLogger(__name__)

ATTEMPT = 0.4
"""Seconds for all of an attempt, the primary's answer too: less than a check's own time."""


class QuorumLost(CheckFailed):
    """So few sentinels are left that they could not replace a lost primary."""


class QuorumTimeout(QuorumLost, TimeoutError):  # noqa: N818
    """The same, and those that are lost have not refused: they are silent."""


class AuthenticationFailed(PermanentFailure):
    """Every sentinel refuses the password."""


class MasterUnknown(PermanentFailure):
    """The sentinels watch no primary of the given name."""


class PrimaryDown(CheckFailed):
    """The primary does not answer, whatever the sentinels say of it."""


class PrimaryTimeout(PrimaryDown, TimeoutError):  # noqa: N818
    """The same, and it has not refused: it is silent."""


class FailingOver(PrimaryDown):
    """The same, and the sentinels are about to replace it."""


class SentinelDown(CheckFailed):
    """A sentinel is lost where all are wanted, see `REDIS_SENTINEL_STRICT`."""


class Group:
    """The sentinels, and the primary that they name, all looked at in one attempt.

    ping: asks a primary itself, which a sentinel calls well for `down-after-milliseconds`.
    moved: called when the sentinels name another primary than before.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        master: str,
        *,
        ping: Callable[[Address], Awaitable[None]],
        moved: Callable[[], Awaitable[None]],
    ) -> None:
        self._nodes = nodes
        self._master = master
        self._ping = ping
        self._moved = moved
        self._primary: Address | None = None
        self._failovers = 0
        self._said = dict.fromkeys(nodes, "ok")

    def check(self, *, strict: bool) -> Check:
        """Return the check."""
        attributes = {"db.system.name": "redis", "db.operation.name": "SENTINEL"}
        return Check("redis.sentinel", lambda: self._look(strict=strict), attributes=attributes)

    async def _look(self, *, strict: bool) -> CheckResult:
        """Pass when all sentinels are well and the primary answers; warn while one is not."""
        ends_at = asyncio.get_running_loop().time() + ATTEMPT
        found = await asyncio.gather(*(node.view(self._master) for node in self._nodes))
        self._log(found)
        views = [view for view in found if isinstance(view, View)]
        named = Counter(view.primary for view in views if view.primary)
        seen: dict[str, object] = {node.name: said for node, said in self._said.items()}
        if views and not named:
            raise MasterUnknown("the sentinels watch no primary of that name", **seen)
        well = sum(view.quorum for view in views)
        if 2 * well <= len(found):
            raise _quorum_fault(found, seen)

        [(primary, _)] = named.most_common(1)
        await self._follow(primary)
        seen["failovers"] = self._failovers
        failing_over = any(view.failing_over for view in views)
        try:
            async with asyncio.timeout_at(ends_at):
                await self._ping(primary)
        except (RedisError, OSError) as error:
            seen["primary"] = type(error).__name__
            raise _primary_fault(error, seen, failing_over=failing_over) from error
        seen["primary"] = "ok"

        if well < len(found):
            sentence = f"{len(found) - well} of {len(found)} sentinels lost"
            if strict:
                raise SentinelDown(sentence, **seen)
            return CheckResult(Status.WARN, sentence, seen)
        if failing_over:
            return CheckResult(Status.PASS, "the sentinels replace the primary", seen)
        if len(named) > 1:
            return CheckResult(Status.WARN, "the sentinels name different primaries", seen)
        return CheckResult(data=seen)

    async def _follow(self, primary: Address) -> None:
        former, self._primary = self._primary, primary
        if former not in (None, primary):
            self._failovers += 1
            moved = {"master": self._master, "from": former, "to": primary}
            log.warning("the primary has moved", extra=moved)
            await self._moved()

    def _log(self, found: Sequence[View | Lost]) -> None:
        """Say each change of a sentinel once, with what no response shows."""
        for node, now in zip(self._nodes, found, strict=True):
            if str(now) != self._said[node]:
                reason = str(now.error) if isinstance(now, Lost) else ""
                level = logging.INFO if str(now) == "ok" else logging.WARNING
                extra = {"address": node.address, "reason": reason}
                log.log(level, "%s: %s", node.name, now, extra=extra)
            self._said[node] = str(now)


def _quorum_fault(found: Sequence[View | Lost], seen: Mapping[str, object]) -> CheckFailed:
    if all(isinstance(node, Lost) and node.refuses_password for node in found):
        return AuthenticationFailed("every sentinel refuses the password", **seen)
    lost = [node.error for node in found if isinstance(node, Lost)]
    silent = lost and all(isinstance(error, TimeoutError) for error in lost)
    fault = QuorumTimeout if silent else QuorumLost
    return fault("too few sentinels are left to replace a lost primary", **seen)


def _primary_fault(
    error: Exception, seen: Mapping[str, object], *, failing_over: bool
) -> CheckFailed:
    if failing_over:
        return FailingOver("the primary is lost, and the sentinels replace it", **seen)
    if isinstance(error, TimeoutError):
        return PrimaryTimeout("the primary does not answer", **seen)
    return PrimaryDown("the primary cannot be reached", **seen)
