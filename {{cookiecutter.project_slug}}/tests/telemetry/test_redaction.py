"""A secret is hidden in each form that a message may contain, and ordinary words are not."""

import json
import logging
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr, field_validator
from pydantic_settings import BaseSettings
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, StreamingResponse

from reference_service import redaction
from reference_service.environment import SettingsError, read_section
from reference_service.redaction import RedactedResponses, hide, redact
from reference_service.telemetry.logs import ConsoleFormatter, JsonFormatter

from ..health.client import call

PASSWORD = 'geheim"\\ü#%/Wort'


@pytest.fixture(autouse=True)
def _no_other_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_forms", {})


@pytest.mark.parametrize(
    "form",
    [
        PASSWORD,
        quote(PASSWORD),
        quote(PASSWORD, safe=""),
        repr(PASSWORD),
        repr(PASSWORD.encode()),
        json.dumps(PASSWORD),
        json.dumps({"error": repr(PASSWORD)}),
        json.dumps(PASSWORD, ensure_ascii=False),
    ],
)
def test_secret_is_hidden_in_each_form(form: str) -> None:
    hide(PASSWORD)
    redacted = redact(f"unknown command AUTH {form}, twice {form}")
    assert "geheim" not in redacted
    assert "Wort" not in redacted
    assert redacted.startswith("unknown command AUTH ")
    assert redacted.count("***") == 2


def test_url_hides_its_password_only() -> None:
    hide("amqp://service:pa%20ss-word@db.example:5432/orders?application_name=shop")
    text = "amqp://service:pa%20ss-word@db.example:5432/orders: no pa ss-word for service"
    assert redact(text) == "amqp://service:***@db.example:5432/orders: no *** for service"


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("https://app:se:cr@et@host/", "host se:cr@et"),
        ("amqp:///app?user=app&password=long-secret", "the password long-secret"),
        ("https://hooks.example/services/T0001/B0002", "POST /services/T0001/B0002"),
        ("amqp://app:long-secret@host", "Authorization: Basic YXBwOmxvbmctc2VjcmV0"),
        ("authorization=Bearer%20abc-def,x-key=ghi-jkl", "rejected: abc-def"),
        ("authorization=Bearer%20abc-def, x-key=ghi-jkl", "x-key ghi-jkl"),
    ],
)
def test_secret_part_of_a_value_is_hidden(secret: str, message: str) -> None:
    hide(secret)
    assert redact(message) == re.sub(r"\S+$", "***", message)


def test_secret_that_a_server_cuts_off_is_hidden() -> None:
    hide("a-long-secret-with-many-words")
    assert redact("args beginning with: 'a-long-secret-with") == "args beginning with: '***"


def test_short_secret_is_hidden_only_as_a_word() -> None:
    hide("data")
    assert redact("database: data, 'data'\\ndata") == "database: ***, '***'\\n***"


@pytest.mark.parametrize("secret", ["", "a", "app"])
def test_secret_below_four_characters_is_not_hidden(secret: str) -> None:
    hide(secret)
    assert redact("an app can say a") == "an app can say a"


def test_password_that_is_the_user_is_not_hidden() -> None:
    hide("amqp://broker:broker@localhost/broker")
    assert redact("health check broker: pass") == "health check broker: pass"


def test_secrets_of_settings_are_hidden_wherever_they_are() -> None:
    class Part(BaseModel):
        token: SecretStr

    class Settings(BaseSettings):
        key: SecretBytes = SecretBytes(b"first-secret")
        parts: list[Part] = [Part(token=SecretStr("second-secret"))]
        url: str = "https://app:third-secret@host"

    read_section(Settings)
    assert redact("first-secret second-secret third-secret") == "*** *** ***"


def test_rejected_value_with_credentials_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    class Settings(BaseSettings):
        number: int

        @field_validator("number", mode="before")
        @classmethod
        def repeat(cls, value: str) -> int:
            raise ValueError(f"{value!r} is wrong")

    monkeypatch.setenv("NUMBER", "a=app:first-secret@host:1,app:second-secret@host")
    with pytest.raises(SettingsError) as raised:
        read_section(Settings)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("formatter", [JsonFormatter(), ConsoleFormatter()])
def test_traceback_and_extras_of_a_log_line_show_no_secret(
    formatter: JsonFormatter | ConsoleFormatter, caplog: pytest.LogCaptureFixture
) -> None:
    hide(PASSWORD)
    error = ExceptionGroup(PASSWORD, [ValueError(PASSWORD.encode())])
    error.add_note(PASSWORD)
    caplog.handler.setFormatter(formatter)
    logging.getLogger(__name__).error("%s", [PASSWORD], exc_info=error, extra={"why": {1: error}})
    line = redact(formatter.format(caplog.records[0]))
    assert "geheim" not in line
    assert "Wort" not in line
    if isinstance(formatter, JsonFormatter):
        assert json.loads(line)["message"] == "['***']"


async def test_response_is_redacted_and_has_its_length() -> None:
    hide(PASSWORD)
    app = RedactedResponses(JSONResponse({"detail": PASSWORD, "data": [repr(PASSWORD)]}))
    answer = await call(app)
    assert answer.body == b'{"detail":"***","data":["\'***\'"]}'
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_response_in_parts_is_redacted_and_not_compressed() -> None:
    hide(PASSWORD)

    async def body() -> AsyncIterator[str]:
        yield f"first {PASSWORD}"
        yield f"last {PASSWORD}"

    app = RedactedResponses(GZipMiddleware(StreamingResponse(body()), minimum_size=1))
    answer = await call(app, headers=[(b"accept-encoding", b"gzip")])
    assert answer.body == b"first ***last ***"
    assert answer.complete
