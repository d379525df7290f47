"""Failures of Redis, and what the probes report meanwhile."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from redis import Redis

from dev.valkey import Valkey

from ..conftest import StartService
from ..processes import Service, wait_until

DETECTION = 5 + 3 * 0.5 + 0.3
RECOVERY = 2.0
SLACK = 1.5


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server that the tests break. Each test repairs it."""
    settings = {"repl-diskless-sync-delay": "0"}
    with Valkey(tmp_path_factory.mktemp("valkey"), settings=settings) as server:
        yield server


@pytest.fixture
def admin(valkey: Valkey) -> Iterator[Redis]:
    """A client that changes the server's configuration."""
    with Redis.from_url(valkey.url) as client:
        yield client


class StartWith(Protocol):
    """Starts the service with a server, and returns it when it is ready."""

    def __call__(self, server: Valkey, **settings: object) -> Service: ...


@pytest.fixture
def start_with(start_service: StartService) -> StartWith:
    def start(server: Valkey, **settings: object) -> Service:
        running = start_service(
            REDIS_URL=server.url,
            REDIS_SENTINELS="",  # feature: sentinel
            **settings,
        )
        running.until_ready()
        return running

    return start


@pytest.fixture
def service(start_with: StartWith, valkey: Valkey) -> Service:
    """The service with that server, ready."""
    return start_with(valkey)


@pytest.fixture
def fast(start_with: StartWith, valkey: Valkey) -> Service:
    """The same with frequent checks, for tests that do not measure the detection time."""
    return start_with(valkey, HEALTH_CHECK_INTERVAL=1)


def test_frozen_server_turns_ready_504_and_recovers_in_time(
    service: Service, valkey: Valkey
) -> None:
    valkey.pause()
    try:
        assert service.until_ready(504) <= DETECTION + SLACK
        assert service.probe("live") == 200
        assert service.check("redis")["error"] == "TimeoutError"
    finally:
        valkey.resume()
    assert service.until_ready() <= RECOVERY + SLACK


def test_stopped_server_turns_ready_503_and_recovers_in_time(
    service: Service, valkey: Valkey
) -> None:
    valkey.stop()
    try:
        assert service.until_ready(503) <= DETECTION + SLACK
        assert service.probe("live") == 200
    finally:
        valkey.start()
    assert service.until_ready() <= RECOVERY + SLACK


def test_server_with_full_memory_is_not_ready_although_it_answers_ping(
    fast: Service, admin: Redis
) -> None:
    admin.config_set("maxmemory", "1")
    try:
        fast.until_ready(503)
        assert admin.ping()
        assert fast.check("redis")["error"] == "OutOfMemoryError"
    finally:
        admin.config_set("maxmemory", "0")
    fast.until_ready()


def test_primary_with_too_few_replicas_is_not_ready(fast: Service, admin: Redis) -> None:
    admin.config_set("min-replicas-to-write", "1")
    try:
        fast.until_ready(503)
        assert fast.check("redis")["error"] == "TooFewReplicas"
    finally:
        admin.config_set("min-replicas-to-write", "0")
    fast.until_ready()


def test_primary_that_cannot_save_a_snapshot_is_not_ready(
    fast: Service, admin: Redis, valkey: Valkey
) -> None:
    obstacle = valkey.folder / "dump.rdb"
    obstacle.mkdir()
    (obstacle / "file").touch()  # the server cannot replace a folder that is not empty
    admin.config_set("save", "3600 1")
    try:
        admin.bgsave()
        fast.until_ready(503)
        assert fast.check("redis")["error"] == "SnapshotFailed"
    finally:
        admin.config_set("save", "")
    fast.until_ready()


def test_server_that_loads_its_data_is_not_ready(start_with: StartWith, tmp_path: Path) -> None:
    with Valkey(tmp_path, settings={"key-load-delay": "-2"}) as valkey:  # pause at every other key
        with Redis.from_url(valkey.url) as admin, admin.pipeline(transaction=False) as pipeline:
            for number in range(50_000):
                pipeline.set(f"key:{number}", "x")
            pipeline.execute()
        service = start_with(valkey, HEALTH_CHECK_INTERVAL=1)
        valkey.stop()
        starting = threading.Thread(target=valkey.start)
        starting.start()
        try:
            wait_until(lambda: service.check("redis")["error"] == "BusyLoadingError")
            service.until_ready(503)
        finally:
            starting.join()
        service.until_ready()


def test_replica_is_ready_while_it_follows_its_primary(
    start_with: StartWith, valkey: Valkey, tmp_path: Path
) -> None:
    with Valkey(tmp_path, settings={"replicaof": f"127.0.0.1 {valkey.port}"}) as replica:
        service = start_with(replica, HEALTH_CHECK_INTERVAL=1)
        data = service.check("redis")["observedValue"]
        assert (data["role"], data["link"]) == ("replica", "up")
        valkey.stop()
        try:
            service.until_ready(503)
            assert service.check("redis")["error"] == "LinkDown"
        finally:
            valkey.start()
        service.until_ready()


def test_replica_that_copies_its_primary_is_not_ready(
    start_with: StartWith, valkey: Valkey, admin: Redis, tmp_path: Path
) -> None:
    with Valkey(tmp_path, settings={"replicaof": f"127.0.0.1 {valkey.port}"}) as replica:
        service = start_with(replica, HEALTH_CHECK_INTERVAL=1)
        replica.ask("REPLICAOF", "NO", "ONE")
        replica.ask("SET", "key", "a history of its own requires a full copy")
        for number in range(3000):
            admin.set(f"key:{number}", "x")
        admin.config_set("rdb-key-save-delay", "1000")
        try:
            replica.ask("REPLICAOF", "127.0.0.1", str(valkey.port))
            wait_until(lambda: service.check("redis")["error"] == "FullSyncInProgress")
            service.until_ready(503)
        finally:
            admin.config_set("rdb-key-save-delay", "0")
        service.until_ready()


def test_replica_of_a_frozen_primary_is_not_ready_although_its_link_is_up(
    start_with: StartWith, valkey: Valkey, admin: Redis, tmp_path: Path
) -> None:
    with Valkey(tmp_path, settings={"replicaof": f"127.0.0.1 {valkey.port}"}) as replica:
        admin.config_set("repl-ping-replica-period", "1")
        service = start_with(replica, HEALTH_CHECK_INTERVAL=1)
        valkey.pause()
        try:
            service.until_ready(503)
            check = service.check("redis")
            assert (check["error"], check["observedValue"]["link"]) == ("LinkDown", "up")
        finally:
            valkey.resume()
            admin.config_set("repl-ping-replica-period", "10")
        service.until_ready()


def test_changed_password_is_detected_and_so_is_its_restoration(
    fast: Service, admin: Redis
) -> None:
    admin.config_set("requirepass", "hunter2")
    try:
        admin.client_kill_filter(_type="normal", skipme=True)
        fast.until_ready(503)
        wait_until(lambda: fast.check("redis")["error"] == "AuthenticationError")
        assert fast.check("redis")["observedValue"] == {}
    finally:
        admin.config_set("requirepass", "")
    fast.until_ready()
