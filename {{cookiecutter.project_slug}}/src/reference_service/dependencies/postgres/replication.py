"""The check of a standby: it keeps up with its primary. Only the standby is asked."""

import math
import time
from collections.abc import Mapping
from typing import Any

from ...health import Check, CheckFailed, CheckResult, PermanentFailure, Status
from .checks import FetchRow, NotInRecovery, PostgresCheck

INTERVAL = 1.0  # seconds between attempts under any load; the true lag can exceed the lag by this

RESOLUTION = 0.01  # relative precision of the lag, so that a lag of days needs little memory

# Positions are bytes of the write-ahead log. Durations are seconds.
# `written`: what the primary reported last. On a narrow link nothing else shows a lag.
# `waiting` is true if everything is replayed that can be. Some bytes may remain: an open
# transaction is sent page by page, and half a record at the end of a page waits for up to 15 s.
QUERY = """
    SELECT pg_is_in_recovery() AS in_recovery,
           quote_ident(current_user) AS reader,
           (SELECT system_identifier FROM pg_control_system()) AS cluster,
           receiver.received_tli AS timeline,
           (receiver.latest_end_lsn - '0/0')::bigint AS written,
           (pg_last_wal_receive_lsn() - '0/0')::bigint AS received,
           (pg_last_wal_replay_lsn() - '0/0')::bigint AS replayed,
           EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'RecoveryWalStream') AS waiting,
           receiver.pid IS NOT NULL AS connected,
           receiver.status,
           extract(epoch FROM clock_timestamp() - receiver.last_msg_receipt_time)::float AS silence,
           extract(epoch FROM current_setting('wal_receiver_timeout')::interval)::float AS timeout
    FROM (VALUES (1)) AS one LEFT JOIN pg_stat_wal_receiver AS receiver ON true
    """


class ReplicationLag(CheckFailed):
    """The standby has known for too long of changes that it does not show."""


class PrimaryUnresponsive(CheckFailed):
    """The primary does not respond to the standby's pings, so its changes are unknown."""


class NotStreaming(CheckFailed):
    """The standby is not connected to its primary."""


class WalReceiverTimeoutDisabled(PermanentFailure):
    """The standby never pings its primary, so a lost primary looks like an idle one."""


def replication_check(fetch_row: FetchRow, max_lag: float) -> Check:
    """Return the check that a standby is at most `max_lag` seconds behind its primary.

    Detection takes `max_lag` and two intervals, and one interval for a lost connection. A primary
    that only becomes silent takes half of `wal_receiver_timeout` longer: 36 s in all by default,
    because the standby pings it only then.
    """
    replication = Replication(max_lag)

    async def check() -> CheckResult:
        row = await fetch_row(QUERY)
        return replication.evaluate(time.monotonic(), dict(row or {}))

    return PostgresCheck("postgres.replication", check, interval=INTERVAL)


class Replication:
    """The state of a standby's replication, updated with each row of `QUERY`."""

    def __init__(self, max_lag: float) -> None:
        self._max_lag = max_lag
        self._last_contact = -math.inf  # when the primary last responded
        # The cluster and timeline. Only positions of the same history can be compared.
        self._history: tuple[int, int] | None = None
        self._replay = Replay(0, 0)

    def evaluate(self, now: float, row: Mapping[str, Any]) -> CheckResult:
        """Pass if the primary responds and its changes are replayed, both within `max_lag`.

        now: seconds of a monotonic clock.
        Warn if the role may not read the statistics. Raises CheckFailed otherwise.
        """
        _require_statistics(row)
        if row["connected"] and row["status"] is None:
            self._last_contact = now
            sentence = "the lag is unknown; on the primary run: GRANT pg_read_all_stats TO"
            return CheckResult(Status.WARN, f"{sentence} {row['reader']}")
        known = max(row[position] or 0 for position in ("written", "received", "replayed"))
        replayed = max(row["received" if row["waiting"] else "replayed"] or 0, row["replayed"])
        history = (row["cluster"], row["timeline"]) if row["connected"] else self._history
        if history != self._history or now - self._last_contact > self._max_lag:
            self._history, self._replay = history, Replay(now, known)
        lag = self._replay.lag(now, known, replayed)

        streaming = row["status"] == "streaming"
        if streaming:
            # After half of its timeout in silence it pings: see PostgreSQL's walreceiver.c.
            self._last_contact = now - max(row["silence"] - row["timeout"] / 2, 0.0)
        data = {
            "streaming": streaming,
            "silence": row["silence"],
            "lag": None if math.isinf(lag) else round(lag, 3),
            "distance": known - row["replayed"],
        }
        if now - self._last_contact > self._max_lag:
            if streaming:
                raise PrimaryUnresponsive("the primary does not respond to pings", **data)
            raise NotStreaming("the standby is not connected to its primary", **data)
        if lag > self._max_lag:
            raise ReplicationLag("the standby is too far behind its primary", **data)
        return CheckResult(data=data)


class Replay:
    """Measures for how many seconds a position has been known without being replayed.

    The lag is the age of the oldest position that the primary has reached and that is not replayed.
    So an idle primary causes no lag, and neither does a distance that is always replayed in time.

    now: seconds of a monotonic clock.
    known: the position from which the measurement starts. When the primary reached it is unknown.
    """

    def __init__(self, now: float, known: int) -> None:
        self._samples = [(now, known)]
        self._start_replayed = False

    def lag(self, now: float, known: int, replayed: int) -> float:
        """Return the lag in seconds. It is infinite until the first position is replayed."""
        while self._samples and self._samples[0][1] <= replayed:
            del self._samples[0]
            self._start_replayed = True
        if not self._samples:
            if known > replayed:
                self._samples.append((now, known))
            return 0.0
        lag = now - self._samples[0][0]
        since, newest = self._samples[-1]
        if known > newest and now - since >= lag * RESOLUTION:
            self._samples.append((now, known))
        elif known > newest:
            self._samples[-1] = (since, known)
        return lag if self._start_replayed else math.inf


def _require_statistics(row: Mapping[str, Any]) -> None:
    """Raise CheckFailed if a row does not say how far a standby is behind."""
    if not row["in_recovery"]:
        raise NotInRecovery("the server is a primary, not a standby")
    if not row["timeout"]:
        raise WalReceiverTimeoutDisabled("wal_receiver_timeout is 0: a lost primary is not noticed")
