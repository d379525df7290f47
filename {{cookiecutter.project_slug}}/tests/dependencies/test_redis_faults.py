"""Everything that Redis can fail at. `tests/service` has the outages that matter most."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest
from redis import Redis, ResponseError

from dev.valkey import Valkey

from ..conftest import StartService
from ..processes import Service, wait_until
from ..service.test_redis_faults import (
    RECOVERY,
    SLACK,
    Outage,
    assert_warns_while_requests_succeed,
    start,
    use,
)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server that the tests break. Each test repairs it."""
    settings = {"repl-diskless-sync-delay": "0", "busy-reply-threshold": "100"}
    with Valkey(tmp_path_factory.mktemp("valkey"), settings=settings) as server:
        yield server


@pytest.fixture
def admin(valkey: Valkey) -> Iterator[Redis]:
    """A client that changes the server's configuration."""
    with Redis.from_url(valkey.url) as client:
        yield client


class StartWith(Protocol):
    """Starts the service with a server, and returns it when every check passes."""

    def __call__(self, server: Valkey, **settings: object) -> Service: ...


@pytest.fixture
def start_with(start_service: StartService) -> StartWith:
    return partial(start, start_service)


@pytest.fixture
def service(start_with: StartWith, valkey: Valkey) -> Service:
    """The service with that server, ready."""
    return start_with(valkey)


@pytest.fixture
def fast(start_with: StartWith, valkey: Valkey) -> Service:
    """The same with frequent checks, for tests that do not measure the detection time."""
    return start_with(valkey, HEALTH_CHECK_INTERVAL=1)


def run_endless_script(valkey: Valkey) -> None:
    """Start a script that never ends, and wait until the server is busy with it."""

    def run() -> None:
        client = Redis.from_url(valkey.url, socket_timeout=None)
        with client, pytest.raises(ResponseError):
            client.eval("while true do end", 0)

    def is_busy() -> bool:
        try:
            return valkey.ask("PING") != "PONG"
        except RuntimeError:
            return True

    threading.Thread(target=run).start()
    wait_until(is_busy)


def ask(*command: str) -> Callable[[Valkey], object]:
    """Return an action that sends a command to a server."""
    return lambda valkey: valkey.ask(*command)


def configure(*settings: str) -> Callable[[Valkey], object]:
    return ask("CONFIG", "SET", *settings)


OUTAGES = {
    "killed": Outage(Valkey.kill, Valkey.start, "ConnectionError"),
    "writes paused": Outage(
        ask("CLIENT", "PAUSE", "100000", "WRITE"), ask("CLIENT", "UNPAUSE"), "TimeoutError"
    ),
    "endless script": Outage(run_endless_script, ask("SCRIPT", "KILL"), "ScriptRunning"),
    "SET denied": Outage(
        ask("ACL", "SETUSER", "default", "-set"),
        ask("ACL", "SETUSER", "default", "+@all"),
        "NoPermissionError",
    ),
    "keys denied": Outage(
        ask("ACL", "SETUSER", "default", "resetkeys", "~other:*"),
        ask("ACL", "SETUSER", "default", "~*"),
        "NoPermissionError",
    ),
    "evicting": Outage(
        configure("maxmemory-policy", "allkeys-lru", "maxmemory", "1"),
        configure("maxmemory-policy", "noeviction", "maxmemory", "0"),
        "OutOfMemoryError",
    ),
    "too few replicas": Outage(
        configure("min-replicas-to-write", "1"),
        configure("min-replicas-to-write", "0"),
        "TooFewReplicas",
    ),
    "read-only": Outage(
        ask("REPLICAOF", "127.0.0.1", "1"), ask("REPLICAOF", "NO", "ONE"), "LinkDown"
    ),
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_outage_warns_in_time_and_requests_succeed(
    service: Service, valkey: Valkey, outage: Outage
) -> None:
    assert_warns_while_requests_succeed(service, valkey, outage)


def test_role_without_permission_for_info_passes(start_with: StartWith, valkey: Valkey) -> None:
    valkey.ask("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-@dangerous")
    url = valkey.url.replace("redis://", "redis://app:pw@")
    service = start_with(valkey, REDIS_URL=url)
    assert service.check("redis")["observedValue"] == {"role": "primary", "replicas": None}
    use(service)


def test_server_that_rejects_connections_warns(fast: Service, admin: Redis) -> None:
    admin.config_set("maxclients", 1)
    try:
        admin.client_kill_filter(_type="normal", skipme=True)
        fast.until_status("warn")
        fast.until_error("redis", "TooManyClients")
        use(fast)
    finally:
        admin.config_set("maxclients", 10_000)
    fast.until_status("pass")


def test_primary_that_cannot_save_a_snapshot_warns(
    fast: Service, admin: Redis, valkey: Valkey
) -> None:
    obstacle = valkey.folder / "dump.rdb"
    obstacle.mkdir()
    (obstacle / "file").touch()  # the server cannot replace a folder that is not empty
    admin.config_set("save", "3600 1")
    try:
        admin.bgsave()
        fast.until_status("warn")
        fast.until_error("redis", "SnapshotFailed")
        use(fast)
    finally:
        admin.config_set("save", "")
    fast.until_status("pass")


def test_server_that_loads_its_data_warns(start_with: StartWith, tmp_path: Path) -> None:
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
            service.until_error("redis", "BusyLoadingError")
            service.until_status("warn")
            use(service)
        finally:
            starting.join()
        service.until_status("pass")


def test_node_of_a_cluster_warns_that_it_does_not_have_the_key(
    start_service: StartService, tmp_path: Path
) -> None:
    cluster = {"cluster-enabled": "yes"}
    with (
        Valkey(tmp_path / "one", settings=cluster) as one,
        Valkey(tmp_path / "two", settings=cluster) as two,
    ):
        service = start_service(
            REDIS_URL=one.url,
            REDIS_SENTINELS="",  # feature: sentinel
            HEALTH_CHECK_INTERVAL=1,
        )
        service.until_error("redis", "ClusterDownError")
        use(service)
        two.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        two.ask("CLUSTER", "MEET", "127.0.0.1", str(one.port))
        service.until_error("redis", "MovedError")
        service.until_status("warn")
        use(service)
        assert service.check("redis")["output"].startswith("the server is a node of a cluster")
        assert "MovedError: the server is a node of a cluster" in service.log.read_text()


def test_node_of_a_cluster_that_serves_almost_every_key_warns(
    start_service: StartService, tmp_path: Path
) -> None:
    cluster = {"cluster-enabled": "yes", "cluster-require-full-coverage": "no"}
    with (
        Valkey(tmp_path / "one", settings=cluster) as one,
        Valkey(tmp_path / "two", settings=cluster) as two,
    ):
        one.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16382")
        two.ask("CLUSTER", "ADDSLOTSRANGE", "16383", "16383")
        two.ask("CLUSTER", "MEET", "127.0.0.1", str(one.port))
        wait_until(lambda: "cluster_slots_assigned:16384" in one.ask("CLUSTER", "INFO"))
        service = start_service(
            REDIS_URL=one.url,
            REDIS_SENTINELS="",  # feature: sentinel
            HEALTH_CHECK_INTERVAL=1,
        )
        service.until_error("redis", "MovedError")
        use(service)


def test_replica_passes_while_it_follows_its_primary(
    start_with: StartWith, valkey: Valkey, tmp_path: Path
) -> None:
    with Valkey(tmp_path, settings={"replicaof": f"127.0.0.1 {valkey.port}"}) as replica:
        service = start_with(replica, HEALTH_CHECK_INTERVAL=1)
        data = service.check("redis")["observedValue"]
        assert (data["role"], data["link"]) == ("replica", "up")
        valkey.stop()
        try:
            service.until_status("warn")
            service.until_error("redis", "LinkDown")
            use(service)
            replica.ask("CONFIG", "SET", "replica-serve-stale-data", "no")
            service.until_error("redis", "MasterDownError")
            use(service)
        finally:
            valkey.start()
        service.until_status("pass")


def test_replica_that_copies_its_primary_warns(
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
            service.until_error("redis", "FullSyncInProgress")
            service.until_status("warn")
        finally:
            admin.config_set("rdb-key-save-delay", "0")
        service.until_status("pass")


def test_replica_of_a_frozen_primary_warns_although_its_link_is_up(
    start_with: StartWith, valkey: Valkey, admin: Redis, tmp_path: Path
) -> None:
    with Valkey(tmp_path, settings={"replicaof": f"127.0.0.1 {valkey.port}"}) as replica:
        admin.config_set("repl-ping-replica-period", "1")
        service = start_with(replica, HEALTH_CHECK_INTERVAL=1)
        valkey.pause()
        try:
            service.until_status("warn")
            check = service.check("redis")
            assert (check["error"], check["observedValue"]["link"]) == ("LinkDown", "up")
        finally:
            valkey.resume()
            admin.config_set("repl-ping-replica-period", "10")
        service.until_status("pass")


def test_changed_password_is_detected_and_so_is_its_restoration(
    fast: Service, admin: Redis
) -> None:
    admin.config_set("requirepass", "hunter2")
    try:
        admin.client_kill_filter(_type="normal", skipme=True)
        fast.until_status("warn")
        fast.until_error("redis", "AuthenticationError")
        assert fast.check("redis")["observedValue"] == {}
        use(fast)
    finally:
        admin.config_set("requirepass", "")
    fast.until_status("pass")


def test_outage_at_the_start_delays_no_start_and_no_request(
    start_service: StartService, tmp_path: Path
) -> None:
    with Valkey(tmp_path) as valkey:
        valkey.pause()
        service = start_service(
            REDIS_URL=valkey.url,
            REDIS_SENTINELS="",  # feature: sentinel
        )
        service.until_status("warn")
        assert service.probe("startup") == 200
        use(service)
        valkey.resume()
        assert service.until_status("pass") <= RECOVERY + SLACK


def test_impact_set_to_fail_takes_the_service_out_of_rotation(
    start_service: StartService, valkey: Valkey
) -> None:
    service = start(start_service, valkey, HEALTH_REDIS_IMPACT="fail", HEALTH_CHECK_INTERVAL=1)
    valkey.pause()
    try:
        service.until_ready(504)
        use(service)
    finally:
        valkey.resume()
    service.until_status("pass")
