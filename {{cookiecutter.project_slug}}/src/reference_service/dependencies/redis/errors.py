"""What an error of Redis means: one table by error code, for requests and for the check."""

from typing import Any

from redis import exceptions
from redis._parsers.base import BaseParser


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
PERMANENT = (
    exceptions.AuthenticationError,
    exceptions.AuthenticationWrongNumberOfArgsError,
    exceptions.NoPermissionError,
    exceptions.InvalidResponse,
)

# redis-py has no public way to raise a class of one's own for an error code. Tested with 8.1.
classes: dict[str, Any] = BaseParser.EXCEPTION_CLASSES
classes.update(TRY_AGAIN)
classes["ERR"]["max number of clients reached"] = TooManyClients
