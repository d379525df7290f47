"""Redis broken by hand, and what the probes say meanwhile."""

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
    """A server that the tests here break; each mends what it broke."""
    settings = {"repl-diskless-sync-delay": "0"}
    with Valkey(tmp_path_factory.mktemp("valkey"), settings=settings) as server:
        yield server


@pytest.fixture
def admin(valkey: Valkey) -> Iterator[Redis]:
    """A client to break it with."""
    with Redis.from_url(valkey.url) as client:
        yield client


class StartOn(Protocol):
    """Starts the service on a server, and returns it when it is ready."""

    def __call__(self, server: Valkey, **settings: object) -> Service: ...


@pytest.fixture
def start_on(start_service: StartService) -> StartOn:
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
def service(start_on: StartOn, valkey: Valkey) -> Service:
    """The service on that server, ready."""
    return start_on(valkey)


@pytest.fixture
def eager(start_on: StartOn, valkey: Valkey) -> Service:
    """The same, with checks every second, for tests that are not about the bounds."""
    return start_on(valkey, HEALTH_CHECK_INTERVAL=1)


def test_a_frozen_server_is_answered_504_and_back_within_the_bounds(
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


def test_a_stopped_server_is_answered_503_and_back_within_the_bounds(
    service: Service, valkey: Valkey
) -> None:
    valkey.stop()
    try:
        assert service.until_ready(503) <= DETECTION + SLACK
        assert service.probe("live") == 200
    finally:
        valkey.start()
    assert service.until_ready() <= RECOVERY + SLACK


def test_a_server_with_full_memory_answers_ping_and_is_not_ready(
    eager: Service, admin: Redis
) -> None:
    admin.config_set("maxmemory", "1")
    try:
        eager.until_ready(503)
        assert admin.ping()
        assert eager.check("redis")["error"] == "OutOfMemoryError"
    finally:
        admin.config_set("maxmemory", "0")
    eager.until_ready()


def test_a_primary_with_too_few_replicas_is_not_ready(eager: Service, admin: Redis) -> None:
    admin.config_set("min-replicas-to-write", "1")
    try:
        eager.until_ready(503)
        assert eager.check("redis")["error"] == "TooFewReplicas"
    finally:
        admin.config_set("min-replicas-to-write", "0")
    eager.until_ready()


def test_a_primary_that_cannot_save_is_not_ready(
    eager: Service, admin: Redis, valkey: Valkey
) -> None:
    in_the_way = valkey.folder / "dump.rdb"
    in_the_way.mkdir()
    (in_the_way / "file").touch()  # so that no file can take its place
    admin.config_set("save", "3600 1")
    try:
        admin.bgsave()
        eager.until_ready(503)
        assert eager.check("redis")["error"] == "SnapshotFailed"
    finally:
        admin.config_set("save", "")
    eager.until_ready()


def test_a_server_that_loads_its_data_is_not_ready(start_on: StartOn, tmp_path: Path) -> None:
    with Valkey(tmp_path, settings={"key-load-delay": "-2"}) as valkey:  # rest at every other key
        with Redis.from_url(valkey.url) as admin, admin.pipeline(transaction=False) as pipeline:
            for number in range(50_000):
                pipeline.set(f"key:{number}", "x")
            pipeline.execute()
        service = start_on(valkey, HEALTH_CHECK_INTERVAL=1)
        valkey.stop()
        starting = threading.Thread(target=valkey.start)
        starting.start()
        try:
            wait_until(lambda: service.check("redis")["error"] == "BusyLoadingError")
            service.until_ready(503)
        finally:
            starting.join()
        service.until_ready()


def test_a_replica_is_ready_while_it_follows_its_primary(
    start_on: StartOn, valkey: Valkey, tmp_path: Path
) -> None:
    with Valkey(tmp_path, settings={"replicaof": f"127.0.0.1 {valkey.port}"}) as replica:
        service = start_on(replica, HEALTH_CHECK_INTERVAL=1)
        seen = service.check("redis")["observedValue"]
        assert (seen["role"], seen["link"]) == ("replica", "up")
        valkey.stop()
        try:
            service.until_ready(503)
            assert service.check("redis")["error"] == "LinkDown"
        finally:
            valkey.start()
        service.until_ready()


def test_a_replica_that_copies_its_primary_is_not_ready(
    start_on: StartOn, valkey: Valkey, admin: Redis, tmp_path: Path
) -> None:
    with Valkey(tmp_path, settings={"replicaof": f"127.0.0.1 {valkey.port}"}) as replica:
        service = start_on(replica, HEALTH_CHECK_INTERVAL=1)
        replica.ask("REPLICAOF", "NO", "ONE")
        replica.ask("SET", "of its own", "so that it has to copy all")
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


def test_a_replica_whose_primary_is_frozen_is_not_ready_although_its_link_is_up(
    start_on: StartOn, valkey: Valkey, admin: Redis, tmp_path: Path
) -> None:
    with Valkey(tmp_path, settings={"replicaof": f"127.0.0.1 {valkey.port}"}) as replica:
        admin.config_set("repl-ping-replica-period", "1")
        service = start_on(replica, HEALTH_CHECK_INTERVAL=1)
        valkey.pause()
        try:
            service.until_ready(503)
            told = service.check("redis")
            assert (told["error"], told["observedValue"]["link"]) == ("LinkDown", "up")
        finally:
            valkey.resume()
            admin.config_set("repl-ping-replica-period", "10")
        service.until_ready()


def test_a_password_that_was_changed_is_noticed_and_so_is_its_return(
    eager: Service, admin: Redis
) -> None:
    admin.config_set("requirepass", "hunter2")
    try:
        admin.client_kill_filter(_type="normal", skipme=True)
        eager.until_ready(503)
        wait_until(lambda: eager.check("redis")["error"] == "AuthenticationError")
        assert eager.check("redis")["observedValue"] == {}
    finally:
        admin.config_set("requirepass", "")
    eager.until_ready()
