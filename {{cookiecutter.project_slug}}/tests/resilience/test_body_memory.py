"""Large bodies share a limit, and free their part of it however the request ends."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_service.resilience import BodyLimit
from reference_service.resilience.body_limit import (
    BODIES,
    SMALL_BODY,
)

from ..health.client import Answer, call, http_scope

Headers = list[tuple[bytes, bytes]]
SIZE = SMALL_BODY + 1  # of the smallest body that reserves its size
DECLARED = [(b"content-length", str(SIZE).encode())]
CHUNKED = [(b"transfer-encoding", b"chunked")]
BODY = [b"x" * SMALL_BODY, b"x"]
WAYS = pytest.mark.parametrize("headers", [DECLARED, CHUNKED], ids=["declared", "chunked"])
RESPONSE: list[Message] = [
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "http.response.body", "body": b"done"},
]


async def read_body(receive: Receive) -> int:
    """Return the number of bytes that arrive until the body ends, or the client disconnects."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    return size


async def answer_200(scope: Scope, receive: Receive, send: Send) -> None:
    await read_body(receive)
    for message in RESPONSE:
        await send(message)


class Uploads:
    """An application that holds each body until the test lets it go."""

    def __init__(self) -> None:
        self.holding = 0
        self.released = asyncio.Event()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        self.holding += await read_body(receive) == SIZE
        await self.released.wait()
        for message in RESPONSE:
            await send(message)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def assert_all_is_free(limit: BodyLimit, app: ASGIApp) -> None:
    """Fill the limit of one body twice; each must find all of it free."""
    limit.app = app
    for headers in (DECLARED, CHUNKED):
        assert (await call(limit, BODY, headers)).status == 200


@WAYS
async def test_body_beyond_the_total_is_answered_503(headers: Headers) -> None:
    uploads, rejections = Uploads(), []
    limit = BodyLimit(
        uploads,
        max_bytes=SIZE,
        max_total_bytes=2 * SIZE,
        on_reject=lambda: rejections.append("body_memory"),
    )
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        admitted = [group.create_task(call(limit, BODY, headers)) for _ in range(2)]
        await until(lambda: uploads.holding == 2)
        scopes: list[Scope] = []

        async def noting_scope(scope: Scope, receive: Receive, send: Send) -> None:
            scopes.append(scope)
            await limit(scope, receive, send)

        uploads.released.set()  # an application that sees a rejected request does not wait
        rejected = await call(noting_scope, BODY, headers)
    assert [task.result().status for task in admitted] == [200, 200]
    assert (rejected.status, rejected.complete) == (503, True)
    assert (rejected.headers["retry-after"], rejected.headers["connection"]) == ("1", "close")
    assert "too many large bodies" in json.loads(rejected.body)["detail"]
    assert scopes[0]["state"]["rejected"] == "body_memory"
    assert rejections == ["body_memory"]
    await assert_all_is_free(limit, answer_200)


async def test_body_that_arrives_in_parts_is_reserved_once() -> None:
    parts = [b"x" * SMALL_BODY] * 4
    size = sum(map(len, parts))
    limit = BodyLimit(answer_200, max_bytes=size, max_total_bytes=size)
    for _ in range(2):
        assert (await call(limit, parts, CHUNKED)).status == 200


async def test_client_that_waits_for_100_continue_is_answered_503_at_once() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.timeout(1):
            headers = [*DECLARED, (b"expect", b"100-continue")]
            rejected = await call(limit, [], headers)
        assert (rejected.status, rejected.complete) == (503, True)
        await answer_200(scope, receive, send)

    limit = BodyLimit(app, max_bytes=SIZE, max_total_bytes=SIZE)
    assert (await call(limit, BODY, DECLARED)).status == 200


async def test_default_total_is_a_number_of_bodies_of_the_maximum_size() -> None:
    uploads = Uploads()
    limit = BodyLimit(uploads, max_bytes=SIZE)
    async with asyncio.TaskGroup() as group:
        admitted = [group.create_task(call(limit, BODY, DECLARED)) for _ in range(BODIES)]
        await until(lambda: uploads.holding == BODIES)
        assert (await call(limit, BODY, DECLARED)).status == 503
        uploads.released.set()
    assert {task.result().status for task in admitted} == {200}


async def test_application_does_not_see_a_rejected_declared_length() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        if len(seen) == 1:  # the limit is full during this request
            assert (await call(limit, BODY, DECLARED)).status == 503
        await answer_200(scope, receive, send)

    limit = BodyLimit(app, max_bytes=SIZE, max_total_bytes=SIZE)
    assert (await call(limit, BODY, DECLARED)).status == 200
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ([b""], []),
        ([b"x" * SMALL_BODY], [(b"content-length", str(SMALL_BODY).encode())]),
        ([b"x" * SMALL_BODY], CHUNKED),
    ],
    ids=["none", "declared", "chunked"],
)
async def test_small_body_is_accepted_while_the_total_is_reached(
    body: list[bytes], headers: Headers
) -> None:
    small: list[int | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not small:
            small.append(None)
            small[0] = (await call(limit, body, headers)).status
        await answer_200(scope, receive, send)

    limit = BodyLimit(app, max_bytes=SIZE, max_total_bytes=SIZE)
    assert (await call(limit, BODY, DECLARED)).status == 200
    assert small == [200]


async def test_rejection_while_the_response_is_sent_aborts_it() -> None:
    holding = Uploads()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "PUT":
            await holding(scope, receive, send)
            return
        await send(RESPONSE[0])
        await answer_rest(receive, send)

    async def answer_rest(receive: Receive, send: Send) -> None:
        size = await read_body(receive)
        await send({"type": "http.response.body", "body": str(size).encode()})

    async def put(scope: Scope, receive: Receive, send: Send) -> None:
        await limit({**scope, "method": "PUT"}, receive, send)

    limit = BodyLimit(app, max_bytes=SIZE, max_total_bytes=SIZE)
    async with asyncio.TaskGroup() as group:
        group.create_task(call(put, BODY, DECLARED))
        await until(lambda: holding.holding == 1)
        aborted = await call(limit, BODY, CHUNKED)
        holding.released.set()
    assert (aborted.status, aborted.body, aborted.complete) == (200, b"", False)
    await assert_all_is_free(limit, answer_200)


async def fail(receive: Receive, send: Send) -> None:
    await read_body(receive)
    raise ValueError


async def exit_process(receive: Receive, send: Send) -> None:
    await read_body(receive)
    raise SystemExit


async def answer_early(receive: Receive, send: Send) -> None:
    await receive()
    for message in RESPONSE:
        await send(message)


async def leave_the_body(receive: Receive, send: Send) -> None:
    for message in RESPONSE:
        await send(message)


@WAYS
@pytest.mark.parametrize("end", [fail, exit_process, answer_early, leave_the_body])
async def test_request_that_ends_frees_its_reservation(
    headers: Headers, end: Callable[[Receive, Send], Awaitable[None]]
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await end(receive, send)

    limit = BodyLimit(app, max_bytes=SIZE, max_total_bytes=SIZE)
    for _ in range(2):
        answer = Answer()
        try:
            await call(limit, BODY, headers, answer)
        except (ValueError, SystemExit):
            assert end in (fail, exit_process)
        assert answer.status in (None, 200)
    await assert_all_is_free(limit, answer_200)


@WAYS
async def test_cancelled_request_frees_its_reservation(headers: Headers) -> None:
    uploads = Uploads()
    limit = BodyLimit(uploads, max_bytes=SIZE, max_total_bytes=SIZE)
    request = asyncio.create_task(call(limit, BODY, headers))
    await until(lambda: uploads.holding == 1)
    request.cancel()
    await asyncio.wait([request], timeout=5)
    assert request.cancelled()
    await assert_all_is_free(limit, answer_200)


@WAYS
async def test_client_that_disconnects_frees_its_reservation(headers: Headers) -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"x" * SIZE, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    limit = BodyLimit(answer_200, max_bytes=SIZE, max_total_bytes=SIZE)
    await limit(http_scope(headers), receive, Answer().receive)
    assert not messages
    await assert_all_is_free(limit, answer_200)


@WAYS
async def test_rejected_request_reserves_nothing(headers: Headers) -> None:
    limit = BodyLimit(answer_200, max_bytes=SIZE, max_total_bytes=SIZE)
    too_large = [(b"content-length", b"%d" % (SIZE + 1))] if headers == DECLARED else CHUNKED
    assert (await call(limit, [*BODY, b"x"], too_large)).status == 413
    await assert_all_is_free(limit, answer_200)


async def test_body_that_is_read_after_its_request_reserves_nothing() -> None:
    """An application can leave a task behind that still reads the body."""
    left: list[Receive] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        left.append(receive)
        await answer_early(receive, send)

    limit = BodyLimit(app, max_bytes=SIZE, max_total_bytes=SIZE)
    await call(limit, BODY, CHUNKED)
    assert (await left[0]())["body"] == b"x"
    await assert_all_is_free(limit, answer_200)


def test_total_below_the_maximum_of_one_body_is_rejected() -> None:
    with pytest.raises(ValueError, match="max_total_bytes"):
        BodyLimit(answer_200, max_bytes=SIZE, max_total_bytes=SIZE - 1)
