"""The check of the Redis server: it does what its role requires."""

import asyncio
from collections.abc import Mapping
from typing import Any

from redis import exceptions
from redis.asyncio import Redis as Client

from ...health import Check, CheckFailed, CheckResult

PERMANENT_ERRORS = (
    exceptions.AuthenticationError,
    exceptions.AuthenticationWrongNumberOfArgsError,
    exceptions.NoPermissionError,
    exceptions.InvalidResponse,
)
CHECK_ATTRIBUTES = {"db.system.name": "redis", "db.operation.name": "PING"}

# Seconds since a replica received data from its primary, which pings it every 10 s. It counts them
# in its own ticks, which are late when it is busy: 11 s were measured on an idle primary.
MAX_IO_AGE = 15
MAX_CONNECTION_AGE = 60.0  # seconds: an old connection still works with an old password
WRITE_KEY, WRITE_KEY_TTL = "reference-service:health", 60  # seconds


class LinkDown(CheckFailed):
    """The replica lost its primary, so its data is old."""


class FullSyncInProgress(CheckFailed):
    """The replica copies all data from its primary, so its own data is old."""


class NotPrimary(CheckFailed):
    """The server is a replica, but the service needs a primary."""


class TooFewReplicas(CheckFailed):
    """The primary rejects writes because of `min-replicas-to-write`."""


class SnapshotFailed(CheckFailed):
    """The primary rejects writes because it could not save a snapshot to disk."""


# Error codes that have no exception of their own in redis-py.
WRITE_ERRORS = {"NOREPLICAS": TooFewReplicas, "MISCONF": SnapshotFailed}


def server_check(client: Client, *, allow_replica: bool) -> Check:
    """Return the check that the server can be written, or is a replica that is up to date.

    PING alone proves neither.
    client: for this check alone, so that no request takes its connection.
    """
    connected_at = 0.0

    async def check() -> CheckResult:
        nonlocal connected_at
        now = asyncio.get_running_loop().time()
        if now - connected_at > MAX_CONNECTION_AGE:
            await client.connection_pool.disconnect()
            connected_at = now
        try:
            return await _check_server(client, allow_replica=allow_replica)
        except exceptions.ResponseError as error:  # OOM and READONLY have their own exceptions
            for code, failure in WRITE_ERRORS.items():
                if str(error).startswith(code):
                    raise failure("the primary rejects writes") from error
            raise

    return Check("redis", check, permanent=PERMANENT_ERRORS, attributes=CHECK_ATTRIBUTES)


async def _check_server(client: Client, *, allow_replica: bool) -> CheckResult:
    await client.ping()
    info = await client.info("replication")
    if info["role"] == "slave":
        if not allow_replica:
            await client.connection_pool.disconnect()  # the next attempt finds the primary again
            raise NotPrimary("the server is a replica and rejects writes")
        return _check_replica(info)
    await client.set(WRITE_KEY, "1", ex=WRITE_KEY_TTL)
    return CheckResult(data={"role": "primary", "replicas": info["connected_slaves"]})


def _check_replica(info: Mapping[str, Any]) -> CheckResult:
    """Pass if a replica follows its primary.

    After the primary hangs, `master_link_status` stays `up` for a minute, but `last_io` grows.
    """
    link, last_io = info["master_link_status"], info["master_last_io_seconds_ago"]
    data = {"role": "replica", "link": link, "last_io": last_io}
    if info["master_sync_in_progress"]:
        raise FullSyncInProgress("the replica copies its primary's data", **data)
    if link != "up" or not 0 <= last_io <= MAX_IO_AGE:
        raise LinkDown("the replica lost its primary", **data)
    return CheckResult(data=data)
