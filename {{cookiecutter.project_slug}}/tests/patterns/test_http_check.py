"""Another service that is broken, what a client of it gets, and what the check reports."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from patterns.checks.http import (
    MAX_BODY_BYTES,
    RECONNECT_INTERVAL,
    CertificateInvalid,
    NotReady,
    Redirected,
    UnexpectedResponse,
    http_check,
)
from patterns.health import Check, CheckResult, Status, run_once

from .http_server import READY, Response, Service, create_certificate

HEALTH_JSON = "application/health+json"
NOT_READY = Response(503)
LOG_IN_PAGE = Response(302, headers={"location": "/log-in"})
HTML_PAGE = Response(content_type="text/html; charset=utf-8", body=b"<html>Be right back</html>")
UNTYPED_HTML_PAGE = Response(content_type="text/plain", body=b"\n<!DOCTYPE html><p>Sorry")


def health(status: object, code: int = 200) -> Response:
    return Response(code, HEALTH_JSON, json.dumps({"status": status}).encode())


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    folder = tmp_path_factory.mktemp("certificates")
    return lambda days, host="127.0.0.1": create_certificate(folder, days, host)


async def run(service: Service, *, attempts: int = 1, trust: Path | None = None) -> CheckResult:
    """Run the check several times with one client, and return the last result."""
    async with checking(service, trust) as check:
        for _ in range(attempts - 1):
            await run_once(check)
        return await run_once(check)


class checking:  # noqa: N801 - a context manager
    """A check of the service, with a client of its own."""

    def __init__(self, service: Service, trust: Path | None = None) -> None:
        verify = ssl.create_default_context(cafile=trust) if trust else True
        url = f"{service.url}{READY}"
        self.client = httpx.AsyncClient(timeout=None, trust_env=False, verify=verify)
        self.check = http_check(self.client, url, name="prices")

    async def __aenter__(self) -> Check:
        return self.check

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()


def read_price(service: Service, trust: Path | None = None) -> str:
    """Do what a client does. Raises an exception if it gets no price."""
    verify = ssl.create_default_context(cafile=trust) if trust else True
    with httpx.Client(timeout=0.5, trust_env=False, follow_redirects=True, verify=verify) as client:
        price = client.get(f"{service.url}/prices/lamp").raise_for_status().json()["price"]
    return str(price)


class Row(NamedTuple):
    """How a service is broken, what its client gets, and what the check reports."""

    ready: Response
    work: Response
    client: type[Exception]
    check: type[Exception]


LOG_IN_LOOP = httpx.TooManyRedirects
ROWS = {
    "not ready": Row(NOT_READY, NOT_READY, httpx.HTTPStatusError, NotReady),
    "overloaded": Row(Response(429), Response(429), httpx.HTTPStatusError, NotReady),
    "behind a log-in page": Row(LOG_IN_PAGE, LOG_IN_PAGE, LOG_IN_LOOP, Redirected),
    "HTML page with 200": Row(HTML_PAGE, HTML_PAGE, ValueError, UnexpectedResponse),
    "HTML page as text": Row(UNTYPED_HTML_PAGE, HTML_PAGE, ValueError, UnexpectedResponse),
    "fail with 200": Row(health("fail"), NOT_READY, httpx.HTTPStatusError, NotReady),
    "down with 200": Row(health("DOWN"), NOT_READY, httpx.HTTPStatusError, NotReady),
    "route is missing": Row(
        Response(404), Response(404), httpx.HTTPStatusError, UnexpectedResponse
    ),
    "invalid JSON": Row(Response(body=b"{"), Response(body=b"{"), ValueError, UnexpectedResponse),
    "body is cut off": Row(
        Response(length=100),
        Response(length=100),
        httpx.RemoteProtocolError,
        httpx.RemoteProtocolError,
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_check_fails_when_clients_fail(service: Service, row: Row) -> None:
    assert (await run(service)).status is Status.PASS
    assert read_price(service) == "12.50"
    service.ready, service.work = row.ready, row.work
    with pytest.raises(row.client):
        read_price(service)
    with pytest.raises(row.check):
        await run(service)


@pytest.mark.parametrize(
    "ready",
    [
        health("pass"),
        Response(204, "text/plain", b""),
        Response(content_type="text/plain", body=b"ok"),
        Response(body=b'{"status": "UP"}'),
        Response(body=b"[1]"),
    ],
)
async def test_service_that_is_ready_passes(service: Service, ready: Response) -> None:
    service.ready = ready
    assert (await run(service)).status is Status.PASS
    assert read_price(service) == "12.50"


async def test_service_that_warns_warns_and_serves(service: Service) -> None:
    service.ready = health("warn")
    assert (await run(service)).status is Status.WARN
    assert read_price(service) == "12.50"


@pytest.mark.parametrize("status", ["well", None, {}])
async def test_health_json_without_a_valid_status_fails(service: Service, status: object) -> None:
    service.ready = health(status)
    with pytest.raises(UnexpectedResponse):
        await run(service)


async def test_body_that_is_too_long_is_not_read(service: Service) -> None:
    service.ready = Response(body=b" " * (MAX_BODY_BYTES + 1), length=1_000_000_000)
    with pytest.raises(UnexpectedResponse):
        await run(service)


async def test_nested_json_fails_the_check(service: Service) -> None:
    service.ready = Response(body=b"[" * 60_000)
    with pytest.raises(UnexpectedResponse):
        await run(service)


async def test_service_that_hangs_is_cancelled_in_time(service: Service) -> None:
    async with checking(service) as check:
        await run_once(check)
        service.respond.clear()
        with pytest.raises(httpx.ReadTimeout):
            await asyncio.to_thread(read_price, service)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await run_once(check)
        service.respond.set()
        assert (await run_once(check)).status is Status.PASS


async def test_service_that_is_down_fails(service: Service) -> None:
    async with checking(service) as check:
        await run_once(check)
        service.stop()
        with pytest.raises(httpx.ConnectError):
            read_price(service)
        with pytest.raises(httpx.TransportError):
            await run_once(check)


async def test_attempts_share_one_connection(service: Service) -> None:
    await run(service, attempts=5)
    assert len(service.connections) == 1


async def test_connection_is_replaced_after_a_minute(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with checking(service) as check:
        await run_once(check)
        loop = asyncio.get_running_loop()
        later = loop.time() + RECONNECT_INTERVAL
        monkeypatch.setattr(loop, "time", lambda: later)
        await run_once(check)
        await run_once(check)
    assert len(service.connections) == 2


async def test_certificate_that_expires_soon_warns_and_serves(
    certificates: Callable[..., Path],
) -> None:
    trusted = certificates(10)
    with Service(trusted) as service:
        result = await run(service, trust=trusted)
        assert read_price(service, trusted) == "12.50"
    assert (result.status, result.detail) == (Status.WARN, "the certificate expires soon")
    assert result.data["certificate_days"] == pytest.approx(10, abs=0.2)


async def test_renewed_certificate_ends_the_warning(certificates: Callable[..., Path]) -> None:
    soon, renewed, both = certificates(3), certificates(90), certificates(90).with_name("both")
    both.write_bytes(soon.read_bytes() + renewed.read_bytes())
    with Service(soon) as service:
        async with checking(service, both) as check:
            await run_once(check)
            service.use(renewed)
            statuses = [(await run_once(check)).status for _ in range(3)]
        assert statuses[-1] is Status.PASS
        assert len(service.connections) == 2


@pytest.mark.parametrize(("days", "host"), [(-1, "127.0.0.1"), (90, "127.0.0.2")])
async def test_certificate_that_clients_reject_fails(
    certificates: Callable[..., Path], days: int, host: str
) -> None:
    trusted = certificates(days, host)
    with Service(trusted) as service:
        with pytest.raises(httpx.ConnectError):
            read_price(service, trusted)
        with pytest.raises(CertificateInvalid):
            await run(service, trust=trusted)


async def test_certificate_that_expires_on_an_open_connection_fails(
    certificates: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = certificates(20)
    with Service(trusted) as service:
        async with checking(service, trusted) as check:
            assert (await run_once(check)).status is Status.PASS
            later = time.time() + 21 * 86_400
            monkeypatch.setattr(time, "time", lambda: later)
            with pytest.raises(CertificateInvalid):
                await run_once(check)
