"""What the Redis check proves, and in which words it fails."""

import asyncio
from collections.abc import Mapping
from typing import Any

from redis import exceptions
from redis.asyncio import Redis as Client

from ...health import Check, CheckFailed, CheckResult

PERMANENT = (
    exceptions.AuthenticationError,
    exceptions.AuthenticationWrongNumberOfArgsError,
    exceptions.NoPermissionError,
    exceptions.InvalidResponse,
)

MAX_IO_AGE = 15
"""Seconds since a replica last heard of its primary, which pings it every 10 s or a little later.

A primary counts those by its own ticks, and a busy one's are late. An idle one was seen at 11.
"""

MAX_AGE = 60.0
"""Seconds until the check connects anew: an old connection still works with an old password."""

WRITE_PROBE = "reference-service:health"
"""The key that the check writes; it expires after a minute."""


class LinkDown(CheckFailed):
    """The replica has lost its primary: what it answers is old."""


class FullSyncInProgress(CheckFailed):
    """The replica copies its primary's data from the start: what it answers is old."""


class NotPrimary(CheckFailed):
    """The server is a replica, where a primary is needed."""


class TooFewReplicas(CheckFailed):
    """The primary takes no writes, by its `min-replicas-to-write`."""


class SnapshotFailed(CheckFailed):
    """The primary takes no writes, since it failed to write those that it has to disk."""


WRITE_ERRORS = {"NOREPLICAS": TooFewReplicas, "MISCONF": SnapshotFailed}
"""The beginnings of answers that have no exception of their own."""


def server_check(client: Client, *, allow_replica: bool) -> Check:
    """Return the check that the server can do what its role asks: PING alone proves neither.

    client: for this check alone, so that no request holds its connection.
    """
    connected_at = 0.0

    async def check() -> CheckResult:
        nonlocal connected_at
        now = asyncio.get_running_loop().time()
        if now - connected_at > MAX_AGE:
            await client.connection_pool.disconnect()
            connected_at = now
        try:
            return await _check_server(client, allow_replica=allow_replica)
        except exceptions.ResponseError as error:  # OOM and READONLY speak for themselves
            for code, fault in WRITE_ERRORS.items():
                if str(error).startswith(code):
                    raise fault("the primary refuses writes") from error
            raise

    attributes = {"db.system.name": "redis", "db.operation.name": "PING"}
    return Check("redis", check, permanent=PERMANENT, attributes=attributes)


async def _check_server(client: Client, *, allow_replica: bool) -> CheckResult:
    await client.ping()
    told = await client.info("replication")
    if told["role"] == "slave":
        if not allow_replica:
            await client.connection_pool.disconnect()  # the next attempt looks for it anew
            raise NotPrimary("the server is a replica and refuses writes")
        return _check_replica(told)
    await client.set(WRITE_PROBE, "1", ex=60)
    return CheckResult(data={"role": "primary", "replicas": told["connected_slaves"]})


def _check_replica(told: Mapping[str, Any]) -> CheckResult:
    """Pass when a replica follows its primary.

    `master_link_status` stays up for a minute after a primary froze; its last I/O does not.
    """
    seen = {
        "role": "replica",
        "link": told["master_link_status"],
        "last_io": told["master_last_io_seconds_ago"],
    }
    if told["master_sync_in_progress"]:
        raise FullSyncInProgress("the replica copies its primary's data", **seen)
    if seen["link"] != "up" or not 0 <= seen["last_io"] <= MAX_IO_AGE:
        raise LinkDown("the replica has lost its primary", **seen)
    return CheckResult(data=seen)
