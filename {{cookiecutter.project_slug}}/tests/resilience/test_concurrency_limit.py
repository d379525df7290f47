"""Requests beyond the concurrency limit are rejected at once, and only those."""

import asyncio
import contextlib
import json
from collections.abc import Callable

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_service.resilience import (
    AdaptiveLimit,
    ConcurrencyLimit,
    Timeout,
    concurrency_limit,
)

from ..health.client import Answer, call, http_scope

START_LIMIT = int(AdaptiveLimit(0.2).value)


async def answer_200(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def wait_for(event: asyncio.Event, then: ASGIApp = answer_200) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await event.wait()
        await then(scope, receive, send)

    return app


async def until_idle(limited: ConcurrencyLimit) -> None:
    async with asyncio.timeout(5):
        while limited.limit.in_flight:
            await asyncio.sleep(0)


async def test_requests_beyond_the_limit_are_rejected_and_counted() -> None:
    release = asyncio.Event()
    limited = ConcurrencyLimit(wait_for(release), limit=2)
    running = [asyncio.create_task(call(limited)) for _ in range(2)]
    await asyncio.sleep(0)
    rejected = await call(limited)
    assert limited.limit.rejected == 1
    assert (rejected.status, rejected.headers["retry-after"]) == (503, "1")
    assert rejected.headers["content-type"] == "application/problem+json"
    assert rejected.headers["content-length"] == str(len(rejected.body))
    problem = json.loads(rejected.body)
    assert (problem["status"], problem["request_id"]) == (503, "abc")
    release.set()
    assert [(await task).status for task in running] == [200, 200]
    assert (await call(limited)).status == 200
    await until_idle(limited)


async def test_requests_of_low_priority_leave_a_part_of_the_limit_to_others() -> None:
    release = asyncio.Event()
    shares = {"/": 1, "/reports/": 0.5, "/reports/now": 1}
    limited = ConcurrencyLimit(wait_for(release), limit=4, shares_by_path=shares)
    running = [asyncio.create_task(call(limited, path="/reports/1")) for _ in range(2)]
    await asyncio.sleep(0)
    assert (await call(limited, path="/reports/2")).status == 503
    assert limited.limit.rejected == 1
    assert not limited.limit.rejecting  # so the server goes on to parse requests
    running += [
        asyncio.create_task(call(limited, path=path)) for path in ("/items", "/reports/now")
    ]
    await asyncio.sleep(0)
    assert (await call(limited, path="/items")).status == 503
    release.set()
    assert [(await task).status for task in running] == [200] * 4
    await until_idle(limited)


async def test_rejection_is_marked_for_the_health_checks() -> None:
    limited = ConcurrencyLimit(answer_200, limit=1)
    limited.limit.in_flight = 1
    scope = http_scope()
    await limited(scope, _no_body, Answer().receive)
    assert scope["state"]["rejected"] == "concurrency_limit"


@pytest.mark.parametrize("limit", [1, AdaptiveLimit(0.2)])
async def test_failed_request_frees_its_slot(limit: AdaptiveLimit | int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError

    limited = ConcurrencyLimit(app, limit=limit)
    for _ in range(3):
        with pytest.raises(ValueError):  # noqa: PT011 - the slot is what matters
            await call(limited)
        await until_idle(limited)


async def test_slot_is_held_until_the_work_has_ended() -> None:
    """A response can be complete while a thread still works for it."""
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer_200(scope, receive, send)
        await release.wait()

    limited = ConcurrencyLimit(app, limit=1)
    answer = Answer()
    running = asyncio.create_task(call(limited, answer=answer))
    await _until(lambda: answer.complete)
    assert (await call(limited)).status == 503
    release.set()
    await running
    assert (await call(limited)).status == 200


async def test_request_that_receives_its_body_holds_no_slot() -> None:
    received, release = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await wait_for(release)(scope, receive, send)

    async def receive() -> Message:
        await received.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    limited = ConcurrencyLimit(app, limit=1)
    answer = Answer()
    uploads = asyncio.create_task(limited(http_scope(), receive, answer.receive))
    await asyncio.sleep(0)
    assert limited.limit.in_flight == 0
    received.set()
    await _until(lambda: limited.limit.in_flight == 1)
    assert (await call(limited)).status == 503
    release.set()
    await uploads
    assert answer.status == 200
    await until_idle(limited)


async def test_request_that_sends_its_response_holds_no_slot() -> None:
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await release.wait()
        await send({"type": "http.response.body", "body": b"last"})

    limited = ConcurrencyLimit(app, limit=1)
    answer = Answer()
    streaming = asyncio.create_task(call(limited, answer=answer))
    await _until(lambda: answer.body == b"first")
    assert limited.limit.in_flight == 0
    release.set()
    await streaming
    assert answer.body == b"firstlast"
    await until_idle(limited)


async def test_stream_that_breaks_off_leaves_no_slot_and_no_debt() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        raise ValueError

    limited = ConcurrencyLimit(app, limit=1)
    with pytest.raises(ValueError):  # noqa: PT011 - the slot is what matters
        await call(limited)
    await until_idle(limited)


async def test_requests_that_never_wait_are_limited_within_an_iteration() -> None:
    """Each of them is complete when the next one starts, so none is ever in flight beside it."""
    limited = ConcurrencyLimit(answer_200, limit=AdaptiveLimit(0.2))
    answers = [Answer() for _ in range(START_LIMIT + 10)]
    requests = [limited(http_scope(), _no_body, answer.receive) for answer in answers]
    await asyncio.gather(*requests)
    assert [answer.status for answer in answers] == [200] * START_LIMIT + [503] * 10
    await until_idle(limited)
    assert (await call(limited)).status == 200


def test_slots_are_free_on_another_event_loop() -> None:
    """The first loop ends before its last iteration does."""
    limited = ConcurrencyLimit(answer_200, limit=AdaptiveLimit(0.2))

    async def use_all_slots() -> int:
        answers = [Answer() for _ in range(START_LIMIT)]
        tasks = [limited(http_scope(), _no_body, answer.receive) for answer in answers]
        await asyncio.gather(*tasks)
        return sum(answer.status == 200 for answer in answers)

    assert [asyncio.run(use_all_slots()) for _ in range(3)] == [START_LIMIT] * 3


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_background_task_holds_no_slot_until_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(concurrency_limit, "MAX_BACKGROUND", 2)
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        await release.wait()

    limited = ConcurrencyLimit(app, limit=10)
    answers = [Answer() for _ in range(3)]
    tasks = [asyncio.create_task(call(limited, answer=answer)) for answer in answers]
    while not all(answer.complete for answer in answers):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (limited.limit.in_flight, limited.background) == (1, 2)
    release.set()
    await asyncio.gather(*tasks)
    await asyncio.sleep(0)
    assert (limited.limit.in_flight, limited.background) == (0, 0)


async def test_work_that_goes_on_after_its_timeout_keeps_its_slot() -> None:
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await release.wait()
        await release.wait()

    limited, answer = ConcurrencyLimit(Timeout(app, seconds=0.01), limit=10), Answer()
    task = asyncio.create_task(call(limited, answer=answer))
    while not answer.complete:
        await asyncio.sleep(0.01)
    assert (answer.status, limited.limit.in_flight, limited.background) == (504, 1, 0)
    release.set()
    await task
    await asyncio.sleep(0)
    assert limited.limit.in_flight == 0
