"""The embedded Valkey: a real server that can be stopped, killed and frozen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from dev.valkey import Valkey


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey"), settings={"maxmemory": "9mb"}) as server:
        yield server


@pytest.fixture
def client(valkey: Valkey) -> Iterator[Redis]:
    retry = Retry(NoBackoff(), 0)
    with Redis.from_url(valkey.url, socket_timeout=0.5, retry=retry, decode_responses=True) as it:
        yield it


def test_it_listens_only_on_loopback(client: Redis) -> None:
    assert client.config_get("bind", "unixsocket") == {"bind": "127.0.0.1", "unixsocket": ""}


def test_settings_reach_the_server(client: Redis) -> None:
    assert client.config_get("maxmemory") == {"maxmemory": str(9 * 1024 * 1024)}


def test_a_restart_and_a_crash_keep_the_data(valkey: Valkey, client: Redis) -> None:
    client.set("answer", 41)

    valkey.restart()

    client.connection_pool.reset()
    client.incr("answer")

    valkey.kill()
    valkey.start()

    client.connection_pool.reset()
    assert client.get("answer") == "42"


def test_clients_of_a_paused_server_wait_until_it_resumes(valkey: Valkey, client: Redis) -> None:
    client.ping()
    valkey.pause()
    try:
        with pytest.raises(RedisTimeoutError):
            client.ping()
    finally:
        valkey.resume()

    assert client.ping()


def test_development_data_is_synced_to_disk_and_test_data_is_not(tmp_path: Path) -> None:
    with Valkey(tmp_path, durable=True) as valkey, Redis.from_url(valkey.url) as client:
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}


def test_the_password_in_the_settings_is_in_the_url(tmp_path: Path) -> None:
    settings = {"requirepass": "p@ss word"}
    with Valkey(tmp_path, settings=settings) as valkey, Redis.from_url(valkey.url) as client:
        assert client.ping()
        assert valkey.ask("GET", "nothing") == ""
