"""Redis broken by hand, and what the probes say meanwhile."""

from collections.abc import Iterator

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
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def admin(valkey: Valkey) -> Iterator[Redis]:
    """A client to break it with."""
    with Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture
def service(start_service: StartService, valkey: Valkey) -> Service:
    """The service on that server, ready."""
    running = start_service(REDIS_URL=valkey.url)
    running.until_ready()
    return running


@pytest.fixture
def eager(start_service: StartService, valkey: Valkey) -> Service:
    """The same, with checks every second, for tests that are not about the bounds."""
    running = start_service(REDIS_URL=valkey.url, HEALTH_CHECK_INTERVAL=1)
    running.until_ready()
    return running


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


def test_a_replica_is_ready_while_it_follows_its_primary(
    start_service: StartService, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"replicaof": f"127.0.0.1 {valkey.port}", "repl-diskless-sync-delay": "0"}
    with Valkey(tmp_path_factory.mktemp("replica"), settings=settings) as replica:
        service = start_service(REDIS_URL=replica.url, HEALTH_CHECK_INTERVAL=1)
        service.until_ready()
        assert service.check("redis")["observedValue"]["role"] == "replica"
        valkey.stop()
        try:
            service.until_ready(503)
            assert service.check("redis")["error"] == "LinkDown"
        finally:
            valkey.start()
        service.until_ready()


def test_a_password_that_the_service_lacks_fails_at_once(eager: Service, admin: Redis) -> None:
    admin.config_set("requirepass", "hunter2")
    try:
        admin.client_kill_filter(_type="normal", skipme=True)
        eager.until_ready(503)
        wait_until(lambda: eager.check("redis")["error"] == "AuthenticationError")
        assert eager.check("redis")["observedValue"] == {}
    finally:
        admin.config_set("requirepass", "")
    eager.until_ready()
