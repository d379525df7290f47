"""The check of the Redis server, and what its errors mean: one table by error code."""

import asyncio
from collections.abc import Mapping
from typing import Any

from redis import exceptions
from redis._parsers.base import BaseParser
from redis.asyncio import ConnectionPool
from redis.asyncio import Redis as Client
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from ...health import Check, CheckFailed, CheckResult, PermanentFailure

PERMANENT_ERRORS = (
    exceptions.AuthenticationError,
    exceptions.AuthenticationWrongNumberOfArgsError,
    exceptions.NoPermissionError,
    exceptions.InvalidResponse,
)
CHECK_ATTRIBUTES = {"db.system.name": "redis", "db.operation.name": "SET"}

# Seconds since a replica received data from its primary, which pings it every 10 s. It counts them
# in its own ticks, which are late when it is busy: 11 s were measured on an idle primary.
MAX_IO_AGE = 15
CLUSTER = "the server is a node of a cluster: set REDIS_URL to a proxy, or to a server of all keys"
RECONNECT_INTERVAL = 60.0  # seconds: an old connection still works with an old password
RECONNECT_TIMEOUT = 0.2  # seconds to open a new connection, before the old one is used again
WRITE_KEY, WRITE_KEY_TTL = "reference-service:health", 60  # seconds
# In the first and in the last slot of a cluster: if it has several nodes, none serves both.
SLOT_KEYS = [f"reference-service:{{{tag}}}" for tag in ("1bz", "hia")]


class LinkDown(CheckFailed):
    """The replica lost its primary, so its data is old."""


class FullSyncInProgress(CheckFailed):
    """The replica copies all data from its primary, so its own data is old."""


class InfoDenied(PermanentFailure):
    """The user may not run INFO, which alone says whether a replica is up to date."""


class MovedError(PermanentFailure):
    """The server is a node of a cluster, and another node serves a key."""


class NotPrimary(CheckFailed):
    """The server is a replica, but the service needs a primary."""


class ScriptRunning(exceptions.ResponseError):
    """A script or a function runs for too long, and the server does nothing else."""


class SnapshotFailed(exceptions.ResponseError):
    """The primary rejects writes because it could not save a snapshot to disk."""


class TooFewReplicas(exceptions.ResponseError):
    """The primary rejects writes because of `min-replicas-to-write`."""


class TooManyClients(exceptions.ConnectionError):
    """The server rejects the connection because of `maxclients`."""


# The errors after which a later command can succeed: a request gets 503. An error with any other
# code is a bug of the service, and a request gets 500.
TRY_AGAIN: dict[str, type[exceptions.RedisError]] = {
    "BUSY": ScriptRunning,
    "CLUSTERDOWN": exceptions.ClusterDownError,  # no node of the cluster serves the key
    "LOADING": exceptions.BusyLoadingError,  # the server loads its data from disk
    "MASTERDOWN": exceptions.MasterDownError,  # a replica without a primary rejects reads
    "MISCONF": SnapshotFailed,
    "MOVED": exceptions.MovedError,  # another node of the cluster serves the key
    "NOREPLICAS": TooFewReplicas,
    "OOM": exceptions.OutOfMemoryError,
    "READONLY": exceptions.ReadOnlyError,  # the server is a replica
    "TRYAGAIN": exceptions.TryAgainError,  # the cluster moves the keys to another node
}

# redis-py has no public way to raise a class of one's own for an error code. Tested with 8.1.
_classes: dict[str, Any] = BaseParser.EXCEPTION_CLASSES
_classes.update(TRY_AGAIN)
_classes["ERR"]["max number of clients reached"] = TooManyClients


def server_check(client: Client, *, allow_replica: bool) -> Check:
    """Return the check that the server can be written, or is a replica that is up to date.

    PING alone proves neither.
    client: for this check alone, so that no request takes its connection.
    """
    reconnect_at = 0.0

    async def check() -> CheckResult:
        nonlocal reconnect_at
        now = asyncio.get_running_loop().time()
        if now >= reconnect_at:
            if reconnect_at:
                await _reconnect(client.connection_pool)
            reconnect_at = now + RECONNECT_INTERVAL
        try:
            return await _check_server(client, allow_replica=allow_replica)
        except exceptions.MovedError:
            raise MovedError(CLUSTER) from None

    return Check("redis", check, permanent=PERMANENT_ERRORS, attributes=CHECK_ATTRIBUTES)


async def _reconnect(pool: ConnectionPool) -> None:
    """Make the next command open a new connection, unless the server rejects new connections.

    Those of requests continue to work then, for example, if `maxclients` is reached. Raises
    AuthenticationError.
    """
    connection = pool.make_connection()  # type: ignore[no-untyped-call]
    try:
        async with asyncio.timeout(RECONNECT_TIMEOUT):
            await connection.connect()
        await pool.disconnect()
    except AuthenticationError:
        raise
    except (RedisError, OSError):
        return
    finally:
        await connection.disconnect(nowait=True)


async def _check_server(client: Client, *, allow_replica: bool) -> CheckResult:
    """Use the server as its role permits. Raises RedisError, OSError or CheckFailed."""
    try:
        info = await client.info("replication")
    except NoPermissionError:  # whether it is a primary shows when it is written
        info = {"role": "master"}
    if info["role"] == "slave":
        if not allow_replica:
            await client.connection_pool.disconnect()  # the next attempt finds the primary again
            raise NotPrimary("the server is a replica and rejects writes")
        await client.get(WRITE_KEY)
        return _check_replica(info)
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.delete(WRITE_KEY)
        pipeline.set(WRITE_KEY, "1", ex=WRITE_KEY_TTL)
        pipeline.get(WRITE_KEY)
        for key in SLOT_KEYS:
            pipeline.get(key)
        try:
            await pipeline.execute()
        except exceptions.ReadOnlyError:
            if "connected_slaves" in info:
                raise
            raise InfoDenied("the server is a replica: grant the user +info") from None
    return CheckResult(data={"role": "primary", "replicas": info.get("connected_slaves")})


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
