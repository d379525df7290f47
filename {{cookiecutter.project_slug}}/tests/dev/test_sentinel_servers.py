"""The embedded Sentinel group: each member can be broken alone, and the others continue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.process import wait_until
from dev.sentinel import Sentinels

FAILOVER_TIMEOUT = 30.0
"""Seconds until a busy machine has finished a failover."""


def poll_often(group: Sentinels) -> None:
    """Make the sentinels poll the data nodes every half second instead of every ten."""
    for sentinel in group.sentinels:
        sentinel.ask("SENTINEL", "DEBUG", "info-period", "500", "publish-period", "500")


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    with Sentinels(tmp_path_factory.mktemp("sentinel"), settings={"maxmemory": "9mb"}) as running:
        poll_often(running)
        yield running


@pytest.fixture(autouse=True)
def _complete(group: Sentinels) -> Iterator[None]:
    """Begin the next test when the group is complete again. Each test repairs what it breaks."""
    yield
    wait_until(group.is_ready, FAILOVER_TIMEOUT)


def test_the_group_is_complete_after_its_start(group: Sentinels) -> None:
    primary = group.current_primary()
    assert primary
    assert primary.info("replication")["connected_slaves"] == "2"
    assert primary.ask("SET", "answer", "42") == "OK"
    assert primary.ask("WAIT", "2", "1000") == "2"
    for node in {group.primary, *group.replicas} - {primary}:
        assert node.ask("GET", "answer") == "42"
        with pytest.raises(RuntimeError, match="READONLY"):
            node.ask("SET", "answer", "43")


def test_settings_reach_the_data_nodes(group: Sentinels) -> None:
    for node in (group.primary, *group.replicas):
        assert node.info("memory")["maxmemory"] == str(9 * 1024 * 1024)


@pytest.mark.parametrize("failure", ["frozen", "killed"])
def test_a_lost_primary_is_replaced_and_returns_as_a_replica(
    group: Sentinels, failure: str
) -> None:
    lost = group.current_primary()
    assert lost
    if failure == "frozen":
        lost.pause()
    else:
        lost.kill()
    try:
        wait_until(lambda: group.current_primary() is not lost, FAILOVER_TIMEOUT)
    finally:
        if failure == "frozen":
            lost.resume()
        else:
            lost.start()
    wait_until(group.is_ready, FAILOVER_TIMEOUT)
    assert lost.info("replication")["role"] == "slave"


def test_a_planned_failover_keeps_every_member(group: Sentinels) -> None:
    former = group.current_primary()
    group.failover()
    wait_until(lambda: group.current_primary() is not former, FAILOVER_TIMEOUT)
    assert all(member.is_ready() for member in group.members)


def test_a_restarted_replica_follows_the_present_primary(group: Sentinels) -> None:
    primary = group.current_primary()
    assert primary
    replica = next(node for node in (group.primary, *group.replicas) if node is not primary)
    replica.restart()
    wait_until(lambda: replica.is_replica_of(primary), FAILOVER_TIMEOUT)


def test_the_others_respond_while_two_sentinels_do_not(group: Sentinels) -> None:
    frozen, stopped, left = group.sentinels
    frozen.pause()
    stopped.stop()
    try:
        assert [sentinel.group_state() for sentinel in (frozen, stopped)] == ["", ""]
        assert left.group_state()
        assert group.current_primary()
        assert not group.is_ready()
    finally:
        frozen.resume()
        stopped.start()
        poll_often(group)


def test_a_restarted_group_has_the_data_of_its_last_primary(
    tmp_path: Path,
) -> None:
    with Sentinels(tmp_path) as group:
        first = group.primary
        first.kill()
        wait_until(lambda: group.current_primary() is not first, FAILOVER_TIMEOUT)
        second = group.current_primary()
        assert second
        second.ask("SET", "answer", "42")

    with Sentinels(tmp_path) as group:
        assert group.primary.folder == second.folder
        assert group.is_ready()
        assert [node.ask("GET", "answer") for node in group.replicas] == ["42", "42"]


def test_data_nodes_and_sentinels_can_have_passwords(tmp_path: Path) -> None:
    with Sentinels(tmp_path, password="for data", sentinel_password="for sentinels") as group:
        assert group.current_primary() is group.primary
        group.failover()
        wait_until(lambda: group.current_primary() is not group.primary, FAILOVER_TIMEOUT)


def test_no_member_starts_without_the_group(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="node-1 cannot start before its group"):
        Sentinels(tmp_path).primary.start()
