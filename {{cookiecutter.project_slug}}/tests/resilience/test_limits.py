"""Bodies beyond a limit are rejected, and connections close while the service is not ready."""

import asyncio
import json

import pytest
from starlette.types import Message, Receive, Scope, Send

from reference_service.resilience import (
    BodyLimit,
    ConnectionClose,
    body_limit,
)

from ..health.client import Answer, call, http_scope

CHUNKED = [(b"transfer-encoding", b"chunked")]


async def answer_200(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def test_body_within_the_limit_arrives_complete() -> None:
    answer = await call(BodyLimit(echo, max_bytes=6), [b"abc", b"def"], CHUNKED)
    assert (answer.status, answer.body) == (200, b"abcdef")


async def test_declared_length_beyond_the_limit_is_answered_413() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    answer = await call(BodyLimit(app, max_bytes=6), headers=[(b"content-length", b"7")])
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert json.loads(answer.body)["detail"] == "The request body is larger than 6 bytes."


async def test_actual_length_beyond_the_limit_is_answered_413() -> None:
    answer = await call(BodyLimit(echo, max_bytes=6), [b"abc", b"def", b"g", b"h"], CHUNKED)
    assert answer.status == 413


async def test_actual_length_counts_if_a_length_is_declared_as_well() -> None:
    headers = [(b"content-length", b"3"), *CHUNKED]
    answer = await call(BodyLimit(echo, max_bytes=6), [b"abc", b"def", b"g", b"h"], headers)
    assert answer.status == 413


async def test_http_2_body_without_headers_that_announce_it_is_counted() -> None:
    limited = BodyLimit(echo, max_bytes=6)

    async def http_2(scope: Scope, receive: Receive, send: Send) -> None:
        await limited({**scope, "http_version": "2"}, receive, send)

    assert (await call(http_2, [b"abc", b"def", b"g", b"h"])).status == 413


async def test_exception_after_a_rejected_body_is_not_an_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        raise ConnectionError  # for example, Starlette's ClientDisconnect

    answer = await call(BodyLimit(app, max_bytes=6), [b"abc", b"def", b"g"], CHUNKED)
    assert answer.status == 413


async def test_rejected_body_is_discarded_before_the_response_ends() -> None:
    """A connection that is closed while its client still sends is reset, and the 413 is lost."""
    unread = [b"x" * 1000 for _ in range(50)]
    answer = Answer()

    async def receive() -> Message:
        assert (answer.status, answer.complete) == (413, False)
        assert json.loads(answer.body)["status"] == 413
        return {"type": "http.request", "body": unread.pop(), "more_body": bool(unread)}

    async def send(message: Message) -> None:
        answer.take(message)

    limited = BodyLimit(echo, max_bytes=6)
    await limited(http_scope([(b"content-length", b"50000")]), receive, send)
    assert answer.complete
    assert not unread


@pytest.mark.parametrize("headers", [CHUNKED, [(b"content-length", b"50000")]])
async def test_rejected_body_that_never_ends_is_discarded_for_a_bounded_time(
    headers: list[tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limit, "LINGER_TIMEOUT", 0.05)

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"endless", "more_body": True}

    answer = Answer()

    async def send(message: Message) -> None:
        answer.take(message)

    async with asyncio.timeout(10):
        await BodyLimit(echo, max_bytes=6)(http_scope(headers), receive, send)
    assert (answer.status, answer.complete) == (413, True)


async def test_client_that_waits_for_100_continue_is_answered_at_once() -> None:
    headers = [(b"content-length", b"7"), (b"expect", b"100-continue")]
    async with asyncio.timeout(1):
        answer = await call(BodyLimit(echo, max_bytes=6), [], headers)
    assert (answer.status, answer.complete) == (413, True)


@pytest.mark.parametrize(("unready", "connection"), [(False, None), (True, "close")])
async def test_responses_close_their_connection_while_the_service_is_not_ready(
    unready: bool, connection: str | None
) -> None:
    answer = await call(ConnectionClose(answer_200, unready=lambda: unready))
    assert answer.headers.get("connection") == connection
