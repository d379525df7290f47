"""The evaluation of a standby's replication: rows of a server at chosen times, without one."""

from contextlib import suppress
from typing import Any

import pytest

from reference_service.dependencies.postgres.checks import NotInRecovery
from reference_service.dependencies.postgres.replication import (
    NotStreaming,
    PrimaryUnresponsive,
    Replication,
    ReplicationLag,
    WalReceiverTimeoutDisabled,
)
from reference_service.health import CheckFailed, Status

MAX_LAG = 5.0
HEALTHY: dict[str, Any] = {
    "in_recovery": True,
    "reader": "service",
    "cluster": 7,
    "timeline": 1,
    "written": 1000,
    "received": 1000,
    "replayed": 1000,
    "waiting": True,
    "connected": True,
    "status": "streaming",
    "silence": 0.1,
    "timeout": 60.0,
}
GONE = {"connected": False, "status": None, "timeline": None, "written": None, "silence": None}
HIDDEN = {"status": None, "timeline": None, "written": None, "silence": None, "waiting": False}
BUSY = {"waiting": False}


@pytest.fixture
def standby() -> Replication:
    return Replication(MAX_LAG)


def lag(standby: Replication, now: float, **row: Any) -> object:
    """Return the lag of a standby that passes."""
    return standby.evaluate(now, HEALTHY | row).data["lag"]


def failure(
    standby: Replication, now: float, expected: type[CheckFailed], **row: Any
) -> CheckFailed:
    """Return the failure of a standby that does not pass."""
    with pytest.raises(expected) as raised:
        standby.evaluate(now, HEALTHY | row)
    assert type(raised.value) is expected
    return raised.value


def test_lag_is_the_age_of_the_oldest_position_that_is_not_replayed(
    standby: Replication,
) -> None:
    assert lag(standby, 0) == 0
    assert lag(standby, 1, **BUSY, received=2000) == 0
    assert lag(standby, 2, **BUSY, received=3000) == 1
    assert lag(standby, 3, **BUSY, received=4000) == 2
    assert lag(standby, 4, **BUSY, received=4000, replayed=2000) == 2
    assert lag(standby, 5, **BUSY, received=4000, replayed=2999) == 3
    assert lag(standby, 6, **BUSY, received=4000, replayed=4000) == 0


def test_distance_that_is_always_replayed_in_time_is_not_a_lag(standby: Replication) -> None:
    lag(standby, 0)
    for second in range(1, 60):
        known = 10**9 * second
        assert lag(standby, second, **BUSY, received=known, replayed=known - 10**9) == 0
        assert lag(standby, second + 0.9, **BUSY, received=known, replayed=known - 1) == 0.9


def test_paused_replay_without_changes_is_not_a_lag(standby: Replication) -> None:
    for second in range(60):
        assert lag(standby, second, **BUSY) == 0


def test_lag_over_the_limit_fails_with_its_data(standby: Replication) -> None:
    lag(standby, 0)
    lag(standby, 1, **BUSY, received=1500)
    assert lag(standby, 6, **BUSY, received=1600) == 5
    failed = failure(standby, 6.1, ReplicationLag, **BUSY, received=1600)
    assert (failed.data["lag"], failed.data["distance"]) == (5.1, 600)
    assert not failed.permanent


def test_reported_position_counts_before_it_is_received(standby: Replication) -> None:
    """On a narrow link, everything that was received is always replayed."""
    lag(standby, 0)
    lag(standby, 1, written=9000)
    for second in range(2, 7):
        lag(standby, second, written=9000, received=1000 * second, replayed=1000 * second)
    failure(standby, 7, ReplicationLag, written=9000, received=7000, replayed=7000)
    assert lag(standby, 8, written=9000, received=9000, replayed=9000) == 0


def test_half_a_record_at_the_end_is_not_a_lag(standby: Replication) -> None:
    for second in range(60):
        assert lag(standby, second, written=8192, received=8192, replayed=8152) == 0


def test_long_lag_needs_little_memory_and_ends_when_it_is_replayed(
    standby: Replication,
) -> None:
    lag(standby, 0)
    for second in range(1, 100_000):
        with suppress(ReplicationLag):
            standby.evaluate(second, HEALTHY | BUSY | {"received": 1000 + second})
    assert len(standby._replay._samples) < 1000

    def lag_at(replayed: int) -> Any:
        row = BUSY | {"received": 101_000, "replayed": replayed}
        return failure(standby, 100_000, ReplicationLag, **row).data["lag"]

    assert lag_at(1000) == 99_999
    assert lag_at(51_000) == pytest.approx(50_000, rel=0.02)
    assert 1000 <= lag_at(100_000) <= 2000
    assert 1 <= lag_at(100_999) <= 1001
    assert lag(standby, 100_001, received=101_000, replayed=101_000) == 0


def test_first_known_position_must_be_replayed_first(standby: Replication) -> None:
    failed = failure(standby, 0, ReplicationLag, **BUSY, received=2000)
    assert failed.data["lag"] is None
    failure(standby, 1, ReplicationLag, **BUSY, received=3000, replayed=1999)
    assert lag(standby, 2, **BUSY, received=3000, replayed=2000) == 1


def test_lag_is_unknown_after_a_long_loss_of_contact(
    standby: Replication,
) -> None:
    lag(standby, 0)
    failure(standby, 6, NotStreaming, **GONE)
    failed = failure(standby, 7, ReplicationLag, **BUSY, written=10**9)
    assert failed.data["lag"] is None
    assert lag(standby, 9, written=10**9, received=10**9, replayed=10**9) == 0


@pytest.mark.parametrize("other", [{"cluster": 8}, {"timeline": 2}])
def test_positions_of_different_histories_are_not_compared(
    standby: Replication, other: dict[str, int]
) -> None:
    lag(standby, 0)
    lag(standby, 1, **BUSY, written=10**9)
    fewer = {"written": 500, "received": 500, "replayed": 500}
    assert lag(standby, 2, **fewer, **other) == 0
    for second in range(3, 60):
        assert lag(standby, second, **fewer, **other) == 0


def test_silence_is_normal_for_half_of_the_receiver_timeout(standby: Replication) -> None:
    lag(standby, 0, silence=30.0)
    lag(standby, 1, silence=30.0 + MAX_LAG)
    failed = failure(standby, 2, PrimaryUnresponsive, silence=30.1 + MAX_LAG)
    assert failed.data["silence"] == 30.1 + MAX_LAG


def test_disconnected_receiver_fails_no_later_than_a_silent_one(
    standby: Replication,
) -> None:
    lag(standby, 0)
    lag(standby, 34, silence=34.0)
    lag(standby, 35, **GONE)
    failure(standby, 35.1, NotStreaming, **GONE)


def test_standby_that_reconnects_in_time_passes_throughout(standby: Replication) -> None:
    lag(standby, 0)
    for second in range(1, 5):
        lag(standby, second, **GONE)
    assert lag(standby, 5, written=10**9) == 0
    assert lag(standby, 6, written=10**9, received=10**9, replayed=10**9) == 0


def test_standby_that_never_streamed_fails(standby: Replication) -> None:
    failure(standby, 0, NotStreaming, **GONE)
    failure(standby, 1, NotStreaming, status="waiting", silence=0.0)


def test_hidden_statistics_warn_until_the_receiver_is_lost(standby: Replication) -> None:
    for second in range(10):
        hidden = standby.evaluate(second, HEALTHY | HIDDEN | {"reader": '"My role"'})
        assert hidden.status is Status.WARN
        assert hidden.detail.endswith('GRANT pg_read_all_stats TO "My role"')
    failure(standby, 15.1, NotStreaming, **GONE)


def test_missing_receiver_timeout_fails_permanently(standby: Replication) -> None:
    assert failure(standby, 0, WalReceiverTimeoutDisabled, timeout=0.0).permanent


def test_primary_fails_without_further_data(standby: Replication) -> None:
    positions = {"written": None, "received": None, "replayed": None, "waiting": False}
    assert not failure(standby, 0, NotInRecovery, **GONE | positions | {"in_recovery": False}).data
