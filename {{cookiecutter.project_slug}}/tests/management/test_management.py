"""`ManagementApp`: the details that the probes withhold, and no secrets."""

import asyncio
import json

import pytest

from reference_service.health import (
    Check,
    CheckFailed,
    CheckResult,
    Registry,
    Status,
)
from reference_service.health.asgi import Message
from reference_service.management import ManagementApp

from ..health.clock import run
from ..health.fakes import Dependency, running


class ReadOnly(CheckFailed):
    pass


async def get(
    registry: Registry, url: str, method: str = "GET", *, root_path: str = ""
) -> tuple[int, str, str]:
    """Return status code, media type and body."""
    path, _, query = url.partition("?")
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "root_path": root_path,
        "path": path,
        "query_string": query.encode(),
        "headers": [],
    }
    await ManagementApp(registry)(scope, receive, send)
    start, body = sent
    headers = dict(start["headers"])
    assert headers[b"cache-control"] == b"no-store"
    return start["status"], headers[b"content-type"].decode(), body["body"].decode()


def request(url: str, *, method: str = "GET", drain: bool = False) -> tuple[int, str, str]:
    """Send a request to a service with a passing, a failing and a warning check."""

    async def scenario() -> tuple[int, str, str]:
        database, cache, pool = Dependency(), Dependency(), Dependency()
        checks = (
            Check("database", database.check),
            Check("cache", cache.check),
            Check("database.pool", pool.check),
        )
        async with running(*checks) as registry:
            database.result = CheckResult(data={"read_only": False})
            pool.result = CheckResult(Status.WARN, "all in use", {"in_use": 5})
            await asyncio.sleep(1)
            cache.error = ReadOnly("the server refuses writes", since="noon")
            await asyncio.sleep(7)
            if drain:
                registry.drain()
            return await get(registry, url, method)

    return run(scenario())


def test_health_reports_every_check() -> None:
    code, media_type, body = request("/health")
    assert (code, media_type) == (503, "application/health+json")
    report = json.loads(body)
    assert report["status"] == "fail"
    assert report["probes"] == {"startup": 200, "ready": 503, "live": 200}
    assert report["checks"]["cache"] == [
        {
            "status": "fail",
            "impact": "fail",
            "impactReason": "the service needs it",
            "stale": False,
            "age": 0.7,
            "since": 2.7,
            "duration": 0.0,
            "timeout": 0.5,
            "attempts": 6,
            "consecutiveFailures": 5,
            "error": "ReadOnly",
            "output": "the server refuses writes",
            "observedValue": {"since": "noon"},
            "history": [
                [8.0, 0.0, True],
                [3.0, 0.0, False],
                [2.9, 0.0, False],
                [2.7, 0.0, False],
                [1.7, 0.0, False],
                [0.7, 0.0, False],
            ],
        }
    ]
    assert report["checks"]["database.pool"][0]["status"] == "warn"


@pytest.mark.parametrize(
    ("url", "code", "body"),
    [
        ("/health/startup", 200, '{"status": "pass"}'),
        ("/health/ready", 503, '{"status": "fail"}'),
        ("/health/live", 200, '{"status": "pass"}'),
        ("/health/ready?exclude=cache", 200, '{"status": "warn"}'),
        ("/health/ready?exclude=cache&exclude=database.pool", 200, '{"status": "pass"}'),
        ("/health/ready?exclude=nope", 503, '{"status": "fail", "unknown": ["nope"]}'),
    ],
)
def test_probe_on_management_port_answers_as_on_service_port(
    url: str, code: int, body: str
) -> None:
    assert request(url) == (code, "application/health+json", body)


@pytest.mark.parametrize(
    ("url", "drain", "code", "lines"),
    [
        (
            "/health/ready?verbose",
            False,
            503,
            ["[+]database ok", "[-]cache failed: ReadOnly", "[!]database.pool warn"],
        ),
        (
            "/health/ready?verbose&exclude=cache&exclude=<b>",
            False,
            200,
            [
                "[+]database ok",
                "[+]cache excluded: ok",
                "[!]database.pool warn",
                "warn: some checks cannot be excluded: there is no check named '<b>'",
            ],
        ),
        (
            "/health/startup?verbose",
            False,
            200,
            ["[+]database ok", "[+]cache ok", "[+]database.pool ok"],
        ),
        ("/health/live?verbose", False, 200, ["[+]supervisor ok"]),
        (
            "/health/ready?verbose&exclude=cache",
            True,
            503,
            [
                "[+]database ok",
                "[+]cache excluded: ok",
                "[!]database.pool warn",
                "[-]shutdown failed: Draining",
            ],
        ),
    ],
)
def test_verbose_has_one_line_per_check(url: str, drain: bool, code: int, lines: list[str]) -> None:
    response = request(url, drain=drain)
    assert response[:2] == (code, "text/plain; charset=utf-8")
    assert response[2].splitlines() == lines


@pytest.mark.parametrize(
    ("check", "code", "status"),
    [("database", 200, "pass"), ("cache", 503, "fail"), ("database.pool", 200, "warn")],
)
def test_path_of_one_check_reports_that_check(check: str, code: int, status: str) -> None:
    response = request(f"/health/ready/{check}")
    assert (response[0], json.loads(response[2])["status"]) == (code, status)


@pytest.mark.parametrize(
    ("method", "url", "code"),
    [("GET", "/", 404), ("GET", "/health/ready/nope", 404), ("POST", "/health", 405)],
)
def test_unknown_path_or_method_gets_a_problem_with_a_hint(
    method: str, url: str, code: int
) -> None:
    response = request(url, method=method)
    assert response[:2] == (code, "application/problem+json")
    assert json.loads(response[2])["detail"]


@pytest.mark.parametrize("root_path", ["/api", "/api/"])
@pytest.mark.parametrize(
    ("path", "status"), [("/api/health/live", 200), ("/health/live", 200), ("/apihealth/live", 404)]
)
async def test_paths_are_below_the_root_path(path: str, status: int, root_path: str) -> None:
    assert (await get(Registry(), path, root_path=root_path))[0] == status


def test_history_has_the_latest_60_attempts() -> None:
    async def scenario() -> list[list[float]]:
        check = Check("db", Dependency().check, interval=1)
        async with running(check) as registry:
            await asyncio.sleep(100.5)
            _, _, body = await get(registry, "/health/ready/db")
            history = json.loads(body)["history"]
            assert isinstance(history, list)
            return history

    ages = [age for age, _, _ in run(scenario())]
    assert ages == [59.5 - second for second in range(60)]


def test_message_of_a_driver_is_not_shown() -> None:
    async def scenario() -> list[str]:
        dependency = Dependency()
        dependency.error = OSError("cannot reach db.internal as admin:hunter2")
        async with running(Check("db", dependency.check)) as registry:
            await asyncio.sleep(5)
            urls = ("/health", "/health/ready?verbose", "/health/ready/db")
            return [(await get(registry, url))[2] for url in urls]

    for body in run(scenario()):
        assert "OSError" in body
        assert "hunter2" not in body
        assert "internal" not in body
