"""What an error of PostgreSQL means to a request: one table by SQLSTATE."""

from typing import ClassVar

import asyncpg  # type: ignore[import-untyped]


class DatabaseUnavailableError(Exception):
    """The database cannot do the work now. The response is 503: a later request can succeed.

    retryable: nothing of the transaction has happened, and a new attempt can succeed at once.
    discards: the connection must not be used again.
    """

    retryable: ClassVar[bool] = False
    discards: ClassVar[bool] = False


class CannotConnectError(DatabaseUnavailableError):
    """A request needed a new connection and could not open one, for whatever reason."""

    server_is_full = False  # it has no connection left, so one of the pool may become idle first


class ConnectionLostError(DatabaseUnavailableError):
    """The connection was lost during a request, for example because the server restarted."""

    retryable = True
    discards = True


class CommitUnknownError(DatabaseUnavailableError):
    """The connection was lost during a commit, which may have happened or not."""


class WriteRefusedError(DatabaseUnavailableError):
    """The server rejects writes, for example after a failover."""

    retryable = True
    discards = True


class TransactionConflictError(DatabaseUnavailableError):
    """The transaction was rolled back because of another one."""

    retryable = True


class StaleStatementError(DatabaseUnavailableError):
    """A migration has changed the table since the connection prepared the statement."""

    retryable = True


class LockTimeoutError(DatabaseUnavailableError):
    """Another transaction holds the lock for too long."""


class ResourcesExhaustedError(DatabaseUnavailableError):
    """The server has no disk space, memory, or connection left, or its storage fails."""


class PreparedStatementLostError(DatabaseUnavailableError):
    """A connection pooler sent the statement to another session than the one that prepared it."""


class StatementTimeoutError(Exception):
    """The server canceled a statement that took too long. The response is 504."""


# Class of SQLSTATE, or a longer prefix, which has precedence: see appendix A of PostgreSQL's
# manual. Any other error is a bug of the service, and the response is 500.
MEANINGS: dict[str, type[Exception]] = {
    "08": ConnectionLostError,  # connection exception
    "25006": WriteRefusedError,  # read-only transaction
    "25P03": ConnectionLostError,  # idle_in_transaction_session_timeout
    "25P04": StatementTimeoutError,  # transaction_timeout
    "26000": PreparedStatementLostError,  # the statement does not exist
    "42P05": PreparedStatementLostError,  # the statement exists already
    "40001": TransactionConflictError,  # serialization failure
    "40P01": TransactionConflictError,  # deadlock
    "53": ResourcesExhaustedError,  # disk, memory, connections, temp_file_limit, locks
    "55006": LockTimeoutError,  # object in use
    "55P03": LockTimeoutError,  # lock_timeout, NOWAIT
    "57014": StatementTimeoutError,  # statement_timeout, or an operator has canceled it
    "57P": ConnectionLostError,  # shutdown, crash, start, idle_session_timeout
    "58": ResourcesExhaustedError,  # input or output failed
}
STALE = asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError
CONNECT_ERRORS = OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError
BROKEN = OSError, asyncpg.ProtocolError  # the driver can no longer use the connection


def explain(error: BaseException, *, disconnected: bool) -> Exception | None:
    """Return what an error of the driver means to a request, or None if it is a bug.

    error: as the driver or SQLAlchemy raised it.
    disconnected: the connection is closed.
    """
    cause = root_cause(error)
    code = getattr(cause, "sqlstate", None) or ""
    prefixes = (code[:length] for length in range(len(code), 1, -1))
    meaning = next((MEANINGS[prefix] for prefix in prefixes if prefix in MEANINGS), None)
    if isinstance(cause, STALE):
        meaning = StaleStatementError
    elif meaning is None and (disconnected or isinstance(cause, BROKEN)):
        meaning = ConnectionLostError
    return meaning(type(cause).__name__) if meaning else None


def root_cause(error: BaseException) -> BaseException:
    """Return the driver's own error. SQLAlchemy wraps it, and the driver wraps the server's."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
