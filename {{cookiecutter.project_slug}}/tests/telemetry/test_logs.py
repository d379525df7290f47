"""Log lines have the same content as JSON and as text, whichever code writes them."""

import json
import logging

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from reference_service.health import Registry
from reference_service.telemetry.access_log import AccessLog
from reference_service.telemetry.log_output import log_output
from reference_service.telemetry.logs import ConsoleFormatter, JsonFormatter
from reference_service.telemetry.request_id import RequestId
from reference_service.traffic import Traffic

from ..health.client import call


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


def logged(access_log: AccessLog) -> ASGIApp:
    """Return an application whose requests are logged."""
    return Traffic(RequestId(answer), Registry(), [access_log])


class Lines(logging.Handler):
    """Format records while their request is served, as a stream handler does."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.formatter = formatter
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


async def access_line(formatter: logging.Formatter) -> str:
    """Return the access line of a request that is logged as a record."""
    handler, logger = Lines(formatter), logging.getLogger(AccessLog.__module__)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        access_log = AccessLog(slow_request_seconds=9, json_lines=False)
        await call(logged(access_log), headers=[(b"x-request-id", b"me")])
    finally:
        logger.removeHandler(handler)
    return handler.lines[0]


async def test_access_line_written_directly_equals_the_formatter_s(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging.getLogger(AccessLog.__module__).setLevel(logging.INFO)
    access_log = AccessLog(slow_request_seconds=9, json_lines=True)
    await call(logged(access_log), headers=[(b"x-request-id", b"me")])
    access_log.flush()
    log_output.flush()
    direct = json.loads(capsys.readouterr().out)
    formatted = json.loads(await access_line(JsonFormatter()))
    assert list(direct) == list(formatted)
    for name in ("level", "logger", "message", "request_id", "client", "method", "path", "status"):
        assert direct[name] == formatted[name]


async def test_text_line_has_the_request_id() -> None:
    line = await access_line(ConsoleFormatter())
    assert (
        " request request_id=me client= method=POST path=/ route=other status=200 bytes=0 " in line
    )


def test_text_line_escapes_control_characters() -> None:
    record = logging.makeLogRecord({"msg": "two\nlines \x1b[31m", "path": "/\r"})
    line = ConsoleFormatter().format(record)
    assert "two\\nlines \\x1b[31m path=/\\r" in line
    assert line.isprintable()


async def test_rejected_requests_are_counted_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def reject(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["rejected"] = "concurrency_limit"
        await answer(scope, receive, send)

    access_log = AccessLog(slow_request_seconds=9, json_lines=True)
    app = Traffic(RequestId(reject), Registry(), [access_log])
    for _ in range(3):
        await call(app)
    with caplog.at_level(logging.INFO):
        access_log.flush()
    (record,) = caplog.records
    expected = {"count": 3, "reasons": {"concurrency_limit": 3}}
    assert record.message == "requests rejected"
    assert {name: vars(record)[name] for name in expected} == expected
