"""Break a read replica, its primary, and the replication between them."""

import shutil

from dev.standby import freeze

from .environment import RECEIVER_TIMEOUT, Environment
from .harness import DETECTION, PERMANENT_DETECTION, RECOVERY, Fault, do_nothing
from .postgres_actions import sql
from .probe_client import OK, WARN

MAX_LAG = 5.0
"""Default maximum lag of a standby, in seconds."""
STALENESS = "a response does not show how old its data is"


def insert_row(env: Environment) -> None:
    """Write on the primary, so that a standby has something to replay."""
    env.postgres.sql("INSERT INTO items (name) VALUES ('written')")


def pause_replay(env: Environment) -> None:
    """Pause replay on the standby, which still receives."""
    env.standby.sql("SELECT pg_wal_replay_pause()")
    insert_row(env)


def freeze_receiver(env: Environment) -> None:
    """Freeze the process of the standby that receives WAL, and write on the primary."""
    freeze(env.standby, "walreceiver")
    insert_row(env)


def copy_again(env: Environment) -> None:
    """Replace a promoted standby by a new copy of the primary."""
    env.standby.stop()
    shutil.rmtree(env.standby.folder / "data")
    env.standby.start()


STANDBY = [
    Fault(
        "Standby receives WAL but does not replay it",
        pause_replay,
        lambda env: env.standby.sql("SELECT pg_wal_replay_resume()"),
        failure="postgres.replication: ReplicationLag",
        red_is_right=STALENESS,
        detect_within=MAX_LAG + 2,
    ),
    Fault(
        "Standby is idle because nothing was written (still ready)",
        do_nothing,
        ready_code=OK,
        hold=2 * DETECTION,
    ),
    Fault(
        "WAL sender of the primary is frozen",
        lambda env: freeze(env.postgres, "walsender"),
        lambda env: env.postgres.resume(),
        failure="postgres.replication: PrimaryUnresponsive",
        red_is_right=STALENESS,
        detect_within=RECEIVER_TIMEOUT / 2 + 2 + 2,
        settings={"DATABASE_MAX_LAG": "2"},
    ),
    Fault(
        "Primary of the standby is stopped",
        lambda env: env.postgres.stop(),
        lambda env: env.postgres.start(),
        failure="postgres.replication: NotStreaming",
        red_is_right=STALENESS,
        detect_within=MAX_LAG + 2,
    ),
    Fault(
        "Service lacks the grant to read replication statistics (still ready)",
        sql("REVOKE pg_read_all_stats FROM service"),
        sql("GRANT pg_read_all_stats TO service"),
        ready_code=WARN,
        failure="postgres.replication: warn",
        detect_within=PERMANENT_DETECTION,
    ),
    Fault(
        "Receiver of the standby is frozen",
        freeze_receiver,
        lambda env: env.standby.resume(),
        failure="postgres.replication: ",
        red_is_right=STALENESS,
        detect_within=RECEIVER_TIMEOUT / 2 + 2 + 2,
        settings={"DATABASE_MAX_LAG": "2"},
    ),
    Fault(
        "Standby is frozen",
        lambda env: env.standby.pause(),
        lambda env: env.standby.resume(),
        ready_code=504,
        failure="postgres: TimeoutError",
    ),
    Fault(
        "Standby is killed",
        lambda env: env.standby.kill(),
        lambda env: env.standby.start(),
        failure="postgres: Connection",
    ),
    Fault(
        "Standby restarts (still ready)",
        lambda env: env.standby.restart(),
        ready_code=OK,
        allowed_codes=frozenset({503}),
        hold=2 * RECOVERY,
    ),
    Fault(
        "Standby is promoted",
        lambda env: env.standby.promote(),
        copy_again,
        failure="postgres: NotInRecovery",
        red_is_right=STALENESS,
        recover_within=2 * RECOVERY,
    ),
]
