"""A request without a response in time is answered 504, whatever the application does then."""

import asyncio
import contextlib
import json
import threading

import anyio.to_thread
import pytest
from starlette.types import Receive, Scope, Send

from reference_service.resilience import Recovery, Timeout

from ..health.client import Answer, call

SHORT = 0.05


async def respond(send: Send, body: bytes = b"hello", *, more: bool = False) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def test_handler_that_hangs_is_cancelled_and_answered_504() -> None:
    cancelled = False

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise

    answer = await call(Timeout(app, seconds=SHORT))
    assert (answer.status, answer.complete, cancelled) == (504, True, True)
    assert (
        json.loads(answer.body)["detail"] == "The service did not start a response within 0.05 s."
    )


async def test_late_body_is_answered_408() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    answer = await call(Timeout(app, seconds=SHORT), body=[])
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert json.loads(answer.body)["detail"] == "The request body did not arrive within 0.05 s."


async def test_handler_that_hangs_after_a_complete_body_is_answered_504() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"whole"
        await receive()  # for example, until the client disconnects

    assert (await call(Timeout(app, seconds=SHORT), body=[b"whole"])).status == 504


async def test_client_does_not_wait_for_a_handler_that_swallows_cancellation() -> None:
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await release.wait()
        await respond(send)  # too late: dropped

    answer = Answer()
    task = asyncio.create_task(call(Timeout(app, seconds=SHORT), answer=answer))
    while not answer.complete:
        await asyncio.sleep(0.01)
    assert not task.done()
    release.set()
    await task
    assert (answer.status, task.cancelling()) == (504, 0)


async def test_cancellation_that_becomes_another_exception_is_still_answered_504(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise LookupError from None

    task = asyncio.create_task(call(Timeout(app, seconds=SHORT)))
    answer = await task
    assert (answer.status, answer.complete, task.cancelling()) == (504, True, 0)
    assert [record.message for record in caplog.records] == [
        "request timed out",
        "request failed after its timeout",
    ]


async def test_stream_that_has_started_continues() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"first ", more=True)
        await asyncio.sleep(3 * SHORT)
        await send({"type": "http.response.body", "body": b"last"})

    answer = await call(Timeout(app, seconds=SHORT))
    assert (answer.status, answer.body, answer.complete) == (200, b"first last", True)


async def test_timeout_error_of_the_application_passes_through() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.timeout(SHORT / 10):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await call(Timeout(app, seconds=10))
    assert (await call(Recovery(Timeout(app, seconds=10)))).status == 500


async def test_shutdown_during_a_timeout_is_not_swallowed() -> None:
    cleaning = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await asyncio.Event().wait()

    answer = Answer()
    task = asyncio.create_task(call(Timeout(app, seconds=SHORT), answer=answer))
    await cleaning.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_response_in_time_leaves_no_timer_and_no_cancellation() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send)

    answer = await call(Timeout(app, seconds=SHORT))
    await asyncio.sleep(2 * SHORT)
    assert (answer.status, answer.body) == (200, b"hello")


async def test_hung_threads_stay_bounded_and_keep_their_requests() -> None:
    release, running, threads = threading.Event(), 0, 5

    def block() -> None:
        nonlocal running
        running += 1
        release.wait(30)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.to_thread.run_sync(block)
        await asyncio.Event().wait()  # the rest is cancelled when the thread has ended

    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens, total = threads, limiter.total_tokens
    answers = [Answer() for _ in range(3 * threads)]
    layer = Timeout(app, seconds=SHORT)
    tasks = [asyncio.create_task(call(layer, answer=answer)) for answer in answers]

    def waiting() -> int:
        return sum(not task.done() for task in tasks)

    try:
        while not all(answer.complete for answer in answers) or waiting() > threads:
            await asyncio.sleep(0.01)
        assert {answer.status for answer in answers} == {504}
        assert (running, waiting()) == (threads, threads)
    finally:
        release.set()
        limiter.total_tokens = total
    await asyncio.wait_for(asyncio.gather(*tasks), 30)
    assert running == threads


async def test_path_can_have_a_time_of_its_own() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(2 * SHORT)
        await respond(send)

    layer = Timeout(app, seconds=SHORT, seconds_by_path={"/": 30, "/quick": SHORT})
    assert (await call(layer)).status == 200
