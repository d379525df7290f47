"""Each request is recorded once: its status, its first byte, and the end of its response."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from reference_service.health import Check, Probes, Registry
from reference_service.traffic import (
    RequestRecord,
    Traffic,
    record_rejections,
)
from reference_service.traffic.load import Load
from reference_service.traffic.record import CLIENT_CLOSED_REQUEST

from ..health.client import Answer, call, http_scope
from ..health.clock import run
from ..health.fakes import Dependency, running


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
    assert registry.in_flight == 0


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
    assert registry.in_flight == 0
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
    assert registry.in_flight == 0


def test_rejected_request_is_no_latency_sample() -> None:
    class Observed(Load):
        samples = 0

        def observe(self, seconds: float) -> None:
            super().observe(seconds)
            self.samples += 1

    async def respond(*, rejected: bool) -> int:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if rejected:
                scope["state"]["rejected"] = "concurrency_limit"
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        load = Observed()
        await call(Traffic(app, Registry(), load=load))
        return load.samples

    assert run(respond(rejected=True)) == 0
    assert run(respond(rejected=False)) == 1


def test_probes_do_not_count_as_requests() -> None:
    class Observed(Load):
        samples = 0

        def observe(self, seconds: float) -> None:
            super().observe(seconds)
            self.samples += 1

    async def scenario() -> tuple[int, int]:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async with running(Check("db", Dependency().check)) as registry:
            load = Observed()
            probes = Probes(Traffic(app, registry, load=load), registry)
            for path in ("/", *["/health/ready"] * 10):
                scope = {**http_scope(), "method": "GET", "path": path}
                await probes(scope, asyncio.Queue().get, Answer().receive)
            return load.samples, registry.in_flight

    assert run(scenario()) == (1, 0)


def test_request_that_waits_for_longer_than_an_attempt_may_take_is_evidence_once() -> None:
    async def scenario() -> tuple[list[float], int]:
        dependency = Dependency()
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(0.9)

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                await asyncio.sleep(60)

            traffic = Traffic(app, registry)
            request = asyncio.create_task(call(traffic))
            await asyncio.sleep(5)
            attempts = dependency.attempted_at.copy()
            request.cancel()
            await asyncio.wait({request})
        return attempts, len(traffic.waiting)

    attempts, waiting = run(scenario())
    first, evidence = attempts
    assert first == 0
    assert 0.9 + 0.5 < evidence <= 0.9 + 0.5 + 0.25 + 0.01
    assert waiting == 0


def test_requests_that_are_answered_in_time_are_no_evidence() -> None:
    async def scenario() -> int:
        dependency = Dependency()
        async with running(Check("db", dependency.check)) as registry:

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await asyncio.sleep(3)  # a long download
                await send({"type": "http.response.body", "body": b""})

            traffic = Traffic(app, registry)
            await call(traffic)
            assert not traffic.waiting
        return len(dependency.attempted_at)

    assert run(scenario()) == 1


def test_observers_see_a_request_that_the_server_rejected() -> None:
    records: list[RequestRecord] = []
    record = record_rejections([records.append, records.append])
    record("GET")
    assert [(each.status, each.rejected) for each in records] == [(503, "concurrency_limit")] * 2
    assert records[0].scope["method"] == "GET"
