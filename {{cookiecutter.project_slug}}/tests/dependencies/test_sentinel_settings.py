"""The settings of Sentinel, and the errors for invalid values."""

import pytest

from reference_service.dependencies import Dependencies
from reference_service.dependencies.redis import (
    Redis,
    RedisSettings,
)
from reference_service.dependencies.sentinel import (
    SentinelSettings,
    route_through_sentinel,
)
from reference_service.dependencies.sentinel.settings import parse_addresses
from reference_service.environment import (
    SettingsError,
    read_section,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one:26380", [("one", 26380)]),
        ("one", [("one", 26379)]),
        ("one:1, two.example,10.0.0.3:3", [("one", 1), ("two.example", 26379), ("10.0.0.3", 3)]),
        ("[::1]:26380,[::2]", [("::1", 26380), ("::2", 26379)]),
        ("one,one:26379,one ", [("one", 26379)]),
    ],
)
def test_address_has_a_host_and_an_optional_port(
    text: str, expected: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_SENTINELS", text)
    assert parse_addresses(read_section(SentinelSettings).sentinels) == expected


@pytest.mark.parametrize(
    "text",
    ["one:", "one:x", "one:65536", "one:0", "one,,two", ",", "redis://one:1", "me@one", "one/0"],
)
def test_invalid_address_is_reported_in_one_sentence(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_SENTINELS", text)
    with pytest.raises(
        SettingsError, match=r"^REDIS_SENTINELS: not the addresses of sentinels[. ]"
    ):
        read_section(SentinelSettings)


def test_invalid_master_name_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SENTINEL_MASTER", "my master")
    with pytest.raises(SettingsError, match=r"^REDIS_SENTINEL_MASTER: "):
        read_section(SentinelSettings)


@pytest.mark.parametrize(
    ("variables", "checks"),
    [
        ({"REDIS_URL": "redis://one"}, ["redis"]),
        ({"REDIS_URL": "redis://one", "REDIS_SENTINELS": ""}, ["redis"]),
        ({"REDIS_SENTINELS": "one,two,three"}, ["redis", "redis.sentinel"]),
        (
            {"REDIS_SENTINELS": "one", "REDIS_URL": "rediss://user:secret@of.no.account/1"},
            ["redis", "redis.sentinel"],
        ),
    ],
)
def test_sentinels_are_checked_only_if_they_are_configured(
    variables: dict[str, str], checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [check.name for check in compose(variables, monkeypatch).checks()] == checks


def test_missing_url_and_sentinels_are_reported_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingsError) as raised:
        compose({}, monkeypatch)
    [sentence] = raised.value.errors
    assert sentence.startswith("REDIS_SENTINELS: not set, and neither is REDIS_URL.")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDIS_SENTINEL_USERNAME", "service"),
        ("REDIS_SENTINEL_PASSWORD", "Hunter2"),
        ("REDIS_SENTINEL_TLS", "true"),
        ("REDIS_SENTINEL_TLS_CA_FILE", "/ca"),
    ],
)
def test_log_in_and_tls_without_sentinels_are_rejected_in_one_sentence(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError) as raised:
        compose({"REDIS_URL": "redis://one", variable: value}, monkeypatch)
    assert raised.value.errors == [f"{variable}: it has no effect without REDIS_SENTINELS."]


def compose(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Dependencies:
    for name in ("REDIS_URL", "REDIS_SENTINELS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    dependencies = Dependencies()
    redis = dependencies.add(Redis(read_section(RedisSettings)))
    dependencies += route_through_sentinel(redis, read_section(SentinelSettings))
    return dependencies
