"""Each request is recorded once: its status, its first byte, and the end of its response."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from reference_service.health import Registry
from reference_service.health.traffic import (
    CLIENT_CLOSED_REQUEST,
    RequestRecord,
    Traffic,
)

from ..resilience.client import call


async def test_record_has_the_status_and_the_times_of_the_response() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    records: list[RequestRecord] = []
    registry = Registry()
    await call(Traffic(app, registry, [records.append]))
    [record] = records
    assert (record.status, record.scope["method"]) == (201, "POST")
    assert record.first_byte is not None
    assert 0 < record.first_byte - record.started <= record.duration
    assert registry.load.in_flight == 0


async def test_background_task_is_not_part_of_the_request() -> None:
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"whole"})
        await release.wait()

    records: list[RequestRecord] = []
    registry = Registry()
    request = asyncio.create_task(call(Traffic(app, registry, [records.append])))
    async with asyncio.timeout(5):
        while not records:
            await asyncio.sleep(0)
    assert records[0].ended
    assert registry.load.in_flight == 0
    assert not request.done()
    release.set()
    await request
    assert len(records) == 1


async def test_request_that_fails_without_a_response_is_recorded_once() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError

    records: list[RequestRecord] = []
    registry = Registry()
    with pytest.raises(ValueError):  # noqa: PT011 - the record is what matters
        await call(Traffic(app, registry, [records.append]))
    [record] = records
    assert (record.status, record.first_byte) == (CLIENT_CLOSED_REQUEST, None)
    assert registry.load.in_flight == 0
