"""`Probes`: exact paths and bodies, rechecks after error responses, and the lifespan."""

import asyncio
from collections.abc import Sequence

import pytest

from reference_service.health import Check, Probes, Registry
from reference_service.health.asgi import (
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
)

from .clock import now, run
from .fakes import Dependency, running


async def business(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the status code in the path."""
    status = int(scope["path"].strip("/") or 200)
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"business"})


async def request(app: Probes, path: str, method: str = "GET") -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "http", "path": path, "method": method}, receive, send)
    return sent


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("probe", ["startup", "ready", "live"])
def test_probe_response_has_the_status_and_nothing_else(probe: str, method: str) -> None:
    async def scenario() -> list[Message]:
        async with running(Check("db", Dependency().check)) as registry:
            await asyncio.sleep(1)
            return await request(Probes(business, registry), f"/health/{probe}", method)

    start, body = run(scenario())
    assert start["status"] == 200
    assert dict(start["headers"]) == {
        b"content-type": b"application/health+json",
        b"content-length": b"18",
        b"cache-control": b"no-store",
    }
    assert body["body"] == b'{"status": "pass"}'


@pytest.mark.parametrize("path", ["/health", "/health/", "/health/ready/", "/health/ready/db"])
def test_other_paths_go_to_the_application(path: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError(scope["path"])

    with pytest.raises(LookupError, match=path):
        run(request(Probes(application, Registry([])), path))


async def rejecting(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond as `business`, and say that the service itself rejected the request."""
    scope.setdefault("state", {})["rejected"] = "concurrency_limit"
    await business(scope, receive, send)


@pytest.mark.parametrize(
    ("app", "status", "attempts"),
    [
        *((business, status, 1) for status in (200, 404, 422)),
        *((business, status, 2) for status in (500, 503, 504)),
        (rejecting, 503, 1),
    ],
)
def test_error_response_makes_every_check_run_again_unless_the_service_rejected_the_request(
    app: ASGIApp, status: int, attempts: int
) -> None:
    async def scenario() -> int:
        dependency = Dependency()
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(2)
            await request(Probes(app, registry), f"/{status}")
            await asyncio.sleep(0.1)
        return len(dependency.attempted_at)

    assert run(scenario()) == attempts


def test_registry_starts_and_stops_within_the_lifespan() -> None:
    async def scenario() -> Sequence[str]:
        events: list[str] = []
        registry = Registry([Check("db", Dependency().check)], clock=now)
        to_application: asyncio.Queue[Message] = asyncio.Queue()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            events.append(f"app starts, started up: {registry.started_up}")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            tasks = {task.get_name() for task in asyncio.all_tasks()}
            events.append(f"app stops, checks run: {'monitor db' in tasks}")
            await send({"type": "lifespan.shutdown.complete"})

        async def send(message: Message) -> None:
            events.append(f"{message['type']}, started up: {registry.started_up}")

        app = Probes(application, registry)
        lifespan = asyncio.create_task(app({"type": "lifespan"}, to_application.get, send))
        to_application.put_nowait({"type": "lifespan.startup"})
        await asyncio.sleep(1)
        events.append(f"checks run: {registry.monitors['db'].state.attempts > 0}")
        to_application.put_nowait({"type": "lifespan.shutdown"})
        await lifespan
        return events

    assert run(scenario()) == [
        "app starts, started up: False",
        "lifespan.startup.complete, started up: True",
        "checks run: True",
        "app stops, checks run: False",
        "lifespan.shutdown.complete, started up: True",
    ]


def test_probe_is_logged_when_its_answer_changes(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        dependency = Dependency()
        async with running(Check("db", dependency.check)) as registry:
            app = Probes(business, registry)
            for error in (None, None, ConnectionError(), None):
                dependency.error = error
                for _ in range(20):
                    await asyncio.sleep(0.5)
                    await request(app, "/health/ready")
                    await request(app, "/health/live")

    with caplog.at_level("INFO", "reference_service.health.probes"):
        run(scenario())
    lines = [record for record in caplog.records if record.message == "probe status changed"]
    logged = [(line.levelname, vars(line)["path"], vars(line)["status"]) for line in lines]
    assert [each for each in logged if each[1] == "/health/ready"] == [
        ("INFO", "/health/ready", 200),
        ("WARNING", "/health/ready", 503),
        ("INFO", "/health/ready", 200),
    ]
    assert [each for each in logged if each[1] == "/health/live"] == [("INFO", "/health/live", 200)]
