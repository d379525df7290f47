"""`REDIS_URL` works, or is rejected at the start, and no server can make the log show it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from dev.valkey import Valkey

from reference_service.dependencies.redis import Redis, RedisSettings
from reference_service.environment import SettingsError, read_section

from ..conftest import StartService
from ..processes import wait_until

PASSWORD = "hunter@:%#/?[]ü 2"


class Renaming(Valkey):
    """A server without some of its commands."""

    removed: Sequence[str] = ()

    def command(self) -> list[str]:
        options = [word for name in self.removed for word in ("--rename-command", name, "")]
        return [*super().command(), *options]


WITHOUT_OTHERS: dict[str, str] = {}
WITHOUT_OTHERS["REDIS_SENTINELS"] = ""  # feature: sentinel


@contextmanager
def without(folder: Path, *commands: str, **settings: str) -> Iterator[Valkey]:
    server = Renaming(folder, settings=settings)
    server.removed = commands
    with server:
        yield server


def test_server_without_hello_is_used(start_service: StartService, tmp_path: Path) -> None:
    with without(tmp_path, "HELLO", requirepass=PASSWORD) as server:
        service = start_service(REDIS_URL=server.url, **WITHOUT_OTHERS)
        wait_until(lambda: service.check("redis")["status"] == "pass")


@pytest.mark.parametrize(("command", "protocol"), [("HELLO", 3), ("AUTH", 2)])
def test_command_that_the_server_repeats_is_not_logged(
    start_service: StartService, tmp_path: Path, command: str, protocol: int
) -> None:
    with without(tmp_path, command) as server:
        password = quote(PASSWORD, safe="")
        url = f"{server.url}?protocol={protocol}".replace("//", f"//app:{password}@")
        service = start_service(REDIS_URL=url, **WITHOUT_OTHERS)
        wait_until(lambda: "unknown command" in service.log.read_text())
        service.process.stop()
    written = service.log.read_text()
    assert "hunter" not in written
    assert "***" in written


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://:pw@host/0", "not the URL of a Redis server"),
        *((f"redis://:hunter{mark}Zwei99@host/0", "in the user and the p") for mark in "#/?%[ "),
        ("redis://:pw@host:hunter/0", "a port is not a number"),
        ("redis://:pw@host/hunter", "the database is not a number"),
        ("redis://:pw@host/0?hunter=Zwei99", "redis-py does not know a parameter behind `?`"),
        ("redis://:pw@host/0?socket_timeout=hunter", "redis-py does not know a parameter"),
        ("redis://:pw@host/0?protocol=4", "redis-py does not know a parameter"),
        *(
            (f"redis://:pw@host/0?{parameter}", "redis-py does not know a parameter")
            for parameter in (
                *("decode_responses=true", "encoding=hunter", "event_dispatcher=hunter"),
                *("retry_on_error=hunter", "socket_type=1"),
            )
        ),
        ("redis://:hunter@one:1,two:2/0", "several hosts"),
        ("redis://:hunter@<host>/0", "a host is not a name or an address"),
        ("redis://:hunter@cache..Zwei99/0", "a host is not a name or an address"),
        ("redis://:hunter%00Zwei99@host/0", "a percent-encoded character is NUL, or not UTF-8"),
        ("unix://app:hunter@run/redis.sock", "several hosts, or the path of a socket that"),
    ],
)
def test_invalid_url_is_rejected_without_a_part_of_it(
    url: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SettingsError) as raised:
        read_section(RedisSettings)
    [error] = raised.value.errors
    assert error.startswith(f"REDIS_URL: {sentence}")
    assert "hunter" not in error
    assert "Zwei99" not in error


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", {}),
        ("redis://[::1]:7000/3", {"host": "::1", "port": 7000, "db": 3}),
        ("rediss://app:hunter%23%2F@host", {"username": "app", "password": "hunter#/"}),
        ("redis://:hunter@Zwei:99@host\n", {"host": "host", "password": "hunter@Zwei:99"}),
        ("rediss://h?ssl_check_hostname=false&max_connections=7", {"ssl_check_hostname": False}),
        ("unix://app:pw@/run/redis.sock?db=2", {"path": "/run/redis.sock", "db": 2}),
    ],
)
async def test_valid_url_is_understood(
    url: str, expected: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    redis = Redis(read_section(RedisSettings))
    options = redis.client.get_connection_kwargs()  # type: ignore[no-untyped-call]
    assert {name: options.get(name) for name in expected} == expected
    await redis.close()
