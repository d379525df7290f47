"""Whether a standby keeps up with its primary: found out from the standby alone, by one clock."""

import math
import time
from collections.abc import Mapping
from typing import Any

from ...health import Check, CheckFailed, CheckResult, PermanentFailure
from .checks import PERMANENT, TRACED_AS, Fetchrow, NotInRecovery

INTERVAL = 1.0
"""Seconds between two looks, whatever the load: by so much may a lag be longer than it seems."""

RESOLUTION = 0.01
"""Part of a lag to which it is known, so that a lag of days is remembered in little space."""

# Positions are bytes of the write-ahead log, durations are seconds.
# `written` is how far the primary said that it was: on a narrow link that is all that tells.
# `waiting` says that all is replayed that can be. There may be a rest: an open transaction is sent
# page by page, and half a record at the end of a page waits for its other half, for up to 15 s.
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
    """The primary does not answer the standby's pings: nobody knows what has changed there."""


class NotStreaming(CheckFailed):
    """The standby is not connected to its primary."""


class WalReceiverTimeoutDisabled(PermanentFailure):
    """The standby never pings: a primary that is gone looks like one that has nothing to say."""


class MissingGrant(PermanentFailure):
    """The service's role may not read the figures."""


def replication_check(fetchrow: Fetchrow, max_lag: float) -> Check:
    """Return the check that a standby shows what its primary was `max_lag` seconds ago.

    A replay that stops is found after `max_lag` and two intervals, a primary that the standby has
    lost after `max_lag` and one. One that just falls silent takes half of the standby's
    `wal_receiver_timeout` more: only then is it pinged. With PostgreSQL's 60 s that is 36 s.
    """
    replication = Replication(max_lag)

    async def check() -> CheckResult:
        row = await fetchrow(QUERY)
        return replication.judge(time.monotonic(), dict(row or {}))

    return Check(
        "postgres.replication",
        check,
        interval=INTERVAL,
        permanent=PERMANENT,
        attributes=TRACED_AS,
    )


class Replication:
    """What is known of a standby's replication, from one row of `QUERY` to the next."""

    def __init__(self, max_lag: float) -> None:
        self._max_lag = max_lag
        self._last_contact = -math.inf
        """When the primary was last known to be there."""
        self._history: tuple[int, int] | None = None
        """The cluster and timeline: positions can be compared within one."""
        self._replay = Replay(0, 0)

    def judge(self, now: float, row: Mapping[str, Any]) -> CheckResult:
        """Pass when the primary is there and what is known of it is replayed, within `max_lag`.

        now: monotonic seconds. Raises CheckFailed otherwise, and when that cannot be known.
        """
        if not row["in_recovery"]:
            raise NotInRecovery("the server is a primary, a standby was asked for")
        if row["connected"] and row["status"] is None:
            grant = f"GRANT pg_read_all_stats TO {row['reader']}"
            raise MissingGrant(f"the figures are hidden from the service; on the primary: {grant}")
        if not row["timeout"]:
            raise WalReceiverTimeoutDisabled(
                "wal_receiver_timeout is 0: a lost primary goes unnoticed"
            )

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
        seen = {
            "streaming": streaming,
            "silence": row["silence"],
            "lag": None if math.isinf(lag) else round(lag, 3),
            "distance": known - row["replayed"],
        }
        if now - self._last_contact > self._max_lag:
            if streaming:
                raise PrimaryUnresponsive("the primary does not answer the standby's pings", **seen)
            raise NotStreaming("the standby is not connected to its primary", **seen)
        if lag > self._max_lag:
            raise ReplicationLag("the standby shows what its primary was too long ago", **seen)
        return CheckResult(data=seen)


class Replay:
    """Tells for how many seconds something has been known that is not replayed.

    It remembers each position that the primary was known to have reached, and since when. The lag
    is the age of the oldest that is not replayed. So there is none while the primary is idle, nor
    by any distance that is replayed in time, and no other machine's clock comes in.
    """

    def __init__(self, now: float, known: int) -> None:
        """Begin with a position that has been known for nobody knows how long."""
        self._samples = [(now, known)]
        self._dated = False

    def lag(self, now: float, known: int, replayed: int) -> float:
        """Return the lag; infinite until the position is replayed that it began with."""
        while self._samples and self._samples[0][1] <= replayed:
            del self._samples[0]
            self._dated = True
        if not self._samples:
            if known > replayed:
                self._samples.append((now, known))
            return 0.0
        lag = now - self._samples[0][0]
        since, reached = self._samples[-1]
        if known > reached and now - since >= lag * RESOLUTION:
            self._samples.append((now, known))
        elif known > reached:
            self._samples[-1] = (since, known)
        return lag if self._dated else math.inf
