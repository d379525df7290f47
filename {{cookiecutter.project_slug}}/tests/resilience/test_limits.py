"""What is too much is refused at once: requests in flight, and bytes of a body."""

import asyncio
import json

import pytest
from starlette.types import Receive, Scope, Send

from reference_service.resilience import BodyLimit, ConcurrencyLimit, Drain

from .client import call


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


async def test_requests_beyond_the_limit_are_refused_and_those_within_are_served() -> None:
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await release.wait()
        await answer_200(scope, receive, send)

    limited = ConcurrencyLimit(app, limit=2)
    running = [asyncio.create_task(call(limited)) for _ in range(2)]
    await asyncio.sleep(0)
    refused = await call(limited)
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert json.loads(refused.body)["request_id"] == "abc"
    release.set()
    assert [(await task).status for task in running] == [200, 200]
    assert (await call(limited)).status == 200
    assert limited.in_flight == 0


async def test_a_request_that_fails_gives_its_place_back() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError

    limited = ConcurrencyLimit(app, limit=1)
    for _ in range(3):
        with pytest.raises(ValueError):  # noqa: PT011 - the place is what counts
            await call(limited)
    assert limited.in_flight == 0


async def test_a_body_within_the_limit_arrives_whole() -> None:
    answer = await call(BodyLimit(echo, max_bytes=6), [b"abc", b"def"])
    assert (answer.status, answer.body) == (200, b"abcdef")


async def test_a_body_declared_too_large_is_refused_before_it_is_read() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    answer = await call(BodyLimit(app, max_bytes=6), headers=[(b"content-length", b"7")])
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert json.loads(answer.body)["detail"] == "The request body is larger than 6 bytes."


async def test_a_body_that_turns_out_too_large_is_refused_as_it_comes() -> None:
    answer = await call(BodyLimit(echo, max_bytes=6), [b"abc", b"def", b"g", b"h"])
    assert answer.status == 413


async def test_what_the_application_makes_of_a_refused_body_is_nobodys_failure() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        raise ConnectionError  # as Starlette does

    answer = await call(BodyLimit(app, max_bytes=6), [b"abc", b"def", b"g"])
    assert answer.status == 413


@pytest.mark.parametrize(("leaving", "connection"), [(False, None), (True, "close")])
async def test_connections_are_closed_behind_responses_while_draining(
    leaving: bool, connection: str | None
) -> None:
    answer = await call(Drain(answer_200, draining=lambda: leaving))
    assert answer.headers.get("connection") == connection
