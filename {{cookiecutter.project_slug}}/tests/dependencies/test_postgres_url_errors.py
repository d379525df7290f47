"""A `DATABASE_URL` that cannot work is rejected at the start, and no part of it is shown."""

from pathlib import Path

import pytest

from reference_service.dependencies.postgres import PostgresSettings
from reference_service.dependencies.postgres.url import parse_url
from reference_service.environment import SettingsError, read_section

BASE = "postgresql://app:pw@db.example:5432/orders"


def reason(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the sentence with which the start ends."""
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError) as raised:
        read_section(PostgresSettings)
    [sentence] = raised.value.errors
    assert sentence.startswith("DATABASE_URL: ")
    return sentence.removeprefix("DATABASE_URL: ").partition(". URL of")[0]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://app:pw@db/orders", "not the URL of a PostgreSQL server"),
        ("postgres+hunter", "not the URL of a PostgreSQL server"),
        ("postgresql://app:hunter@${Zwei99}/orders", "a host is not a name or an address"),
        ("postgresql://app:hunter@db..Zwei99/orders", "a host is not a name or an address"),
        ("postgresql://app:hunter%00@db/orders", "a percent-encoded character is NUL, or not"),
        ("postgresql://app:hunter%ff@db/orders", "a percent-encoded character is NUL, or not"),
        ("postgresql:///orders?host=a,b&port=1,2,3", "there are not as many ports as hosts"),
        ("postgresql:///orders?host=hunter&port=70000", "a port is not a number"),
        (f"{BASE}?keepalives_count=1000", "keepalives_count is not a number from 0 to 127"),
        (f"{BASE}?sslnegotiation=hunter", "sslnegotiation can only be postgres, direct"),
        (f"{BASE}?sslnegotiation=direct", "asyncpg rejects a parameter behind `?`, or a variable"),
        (f"{BASE}?ssl_min_protocol_version=hunter", "asyncpg rejects a parameter behind `?`, or"),
        (
            f"{BASE}?sslmode=verify-ca&sslrootcert=/etc",
            "a file of ssl… has no PEM certificate, or not",
        ),
        (f"{BASE}?sslmode=require&sslcert={__file__}", "a file of ssl… has no PEM certificate, or"),
        (f"{BASE}?sslrootcert=system&sslmode=require&sslcert={__file__}", "a file of ssl… has no"),
        *(
            (f"postgresql://app:hunter{mark}Zwei99@db/orders", "in the user and the password, ")
            for mark in "#/?%[ "
        ),
        ("postgresql://app:pw@db:hunter/orders", "a port is not a number"),
        ("postgresql://app:pw@db:0/orders", "a port is not a number"),
        ("postgresql://app:pw@a,,b/orders", "a host is missing"),
        (f"{BASE}?hunter", "what stands behind `?` is not name=value"),
        (f"{BASE}?hunter=Zwei99", "libpq, or asyncpg, does not know a parameter"),
        (f"{BASE}?connect_timeout=hunter", "connect_timeout is not a number"),
        (f"{BASE}?sslmode=hunter", "sslmode can only be disable, allow, prefer, require, "),
        (f"{BASE}?gssencmode=require", "gssencmode can only be disable, prefer"),
        (f"{BASE}?target_session_attrs=hunter", "target_session_attrs can only be any, "),
        (f"{BASE}?channel_binding=require", "channel_binding=require needs sslmode=require"),
        (f"{BASE}?sslrootcert=/hunter/Zwei99", "the file of sslrootcert cannot be read"),
        (f"{BASE}?pgbouncer=true", "libpq does not know pgbouncer: set DATABASE_PREPARED_"),
        (f"{BASE}?schema=shop", "libpq does not know schema: write options=-csearch_path%3DNAME"),
    ],
)
def test_invalid_url_is_rejected_without_a_part_of_it(
    url: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = reason(url, monkeypatch)
    assert found.startswith(sentence)
    assert "hunter" not in found
    assert "Zwei99" not in found


@pytest.mark.parametrize(("name", "value"), [("PGPORT", "hunter"), ("PGSSLMODE", "hunter")])
def test_unusable_variable_of_libpq_is_rejected(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    found = reason("postgresql:///orders", monkeypatch)
    assert found.startswith("asyncpg rejects a parameter behind `?`, or a variable PG…")


def test_verified_certificate_needs_an_authority(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert reason(f"{BASE}?sslmode=verify-full", monkeypatch) == (
        "sslmode=verify-full needs sslrootcert=FILE, or sslrootcert=system"
    )
    assert parse_url(f"{BASE}?sslmode=verify-full&sslrootcert=system").tls
