"""Values of settings as people and platforms write them."""

import os
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from reference_service.environment import SettingsError, read_section
from reference_service.server.serve import listen
from reference_service.settings import HealthSettings, ServiceSettings


class Account(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ACCOUNT_")

    password: SecretStr = SecretStr("")


def read(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> Any:
    """Return the setting that a variable with this value results in."""
    monkeypatch.setenv(f"SERVICE_{name.upper()}", value)
    return getattr(read_section(ServiceSettings), name)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *(("port", value, 8080) for value in (" 8080 ", "8080\r", "8080\n", "8_080")),
        *(("log_user_agent", value, True) for value in ("1", "yes", "on", "TRUE", " true\r")),
        ("log_level", "DEBUG\r", "DEBUG"),
        ("concurrency_limit", " auto ", "auto"),
        ("environment", "production\r", "production"),
        ("host", "  ", None),
        ("trusted_proxies", " * ", "*"),
        *(("root_path", value, "/shop") for value in ("/shop", "/shop/", "/shop\r\n")),
        ("root_path", "/", ""),
        ("root_path", "/a/b.c~d_e-f", "/a/b.c~d_e-f"),
        ("cors_origins", "https://a.b,http://[::1]:80 , *", "https://a.b,http://[::1]:80 , *"),
    ],
)
def test_value_is_understood(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: object
) -> None:
    assert read(monkeypatch, name, value) == expected


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        *(("port", value, "Input should be") for value in ("-1", "1e3", "65536", "0x50", "80/tcp")),
        *(("request_timeout", value, "Input should be") for value in ("10s", "nan", "0", "10,5")),
        *(("shutdown_timeout", value, "Input should be a finite") for value in ("inf", "1e400")),
        ("drain_delay", "inf", "Input should be a finite number"),
        *(
            ("root_path", value, "String should match pattern")
            for value in (
                "shop",
                "//shop",
                "/a b",
                "/..",
                "/a/./b",
                "/\u00fc",
                "https://a.b/shop",
                "/a?b",
            )
        ),
        *(
            ("cors_origins", value, "String should match pattern")
            for value in ("a.b", "https://a.b/", "https://a.b/c", "https://*.b", '["https://a.b"]')
        ),
        *(
            ("trusted_proxies", value, "not a list like 10.0.0.0/8,::1")
            for value in ("proxy", "10.0.0.1:80", "[::1]", "*,::1", "10.0.0.1,")
        ),
    ],
)
def test_value_that_cannot_work_is_rejected(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        read(monkeypatch, name, value)
    [error] = raised.value.errors
    assert error.startswith(f"SERVICE_{name.upper()}: {reason}")


def test_seconds_of_checks_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_CHECK_INTERVAL", "inf")
    with pytest.raises(SettingsError, match="HEALTH_CHECK_INTERVAL: Input should be a finite"):
        read_section(HealthSettings)


def test_secret_loses_only_the_line_break_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCOUNT_PASSWORD", " pass word \r\n")
    assert read_section(Account).password.get_secret_value() == " pass word "
    assert os.environ["ACCOUNT_PASSWORD"] == " pass word "


@pytest.mark.parametrize("host", ["*", "http://a", "127.0.0.1:80", "a..b"])
def test_host_that_is_not_one_is_named(host: str) -> None:
    with pytest.raises(SettingsError) as raised:
        listen("SERVICE_PORT", host, 0)
    assert raised.value.errors == [f"SERVICE_HOST: {host!r} is not an address or a name."]
