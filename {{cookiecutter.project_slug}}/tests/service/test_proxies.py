"""Between a client and the service: prefixes, addresses, browsers, both families of IP."""

import socket

import httpx
import pytest

from ..conftest import StartService
from ..domain import NEW, PATH

PROXIED = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https"}


def test_prefix_of_a_proxy_is_in_location_and_in_the_docs(start_service: StartService) -> None:
    service = start_service(SERVICE_ROOT_PATH="/shop")
    service.until_ready()
    location = service.api.post(PATH, json=NEW).headers["location"]
    assert location.startswith(f"/shop{PATH}/")
    assert service.api.get(location).status_code == 200  # a proxy that passes the prefix on
    assert service.api.get(location.removeprefix("/shop")).status_code == 200
    assert "'/shop/openapi.json'" in service.api.get("/docs").text
    assert service.api.get("/openapi.json").json()["servers"] == [{"url": "/shop"}]
    for path in ("/health/ready", "/shop/health/ready"):
        assert service.api.get(path).json() == {"status": "pass"}


@pytest.mark.parametrize(
    ("trusted", "client"),
    [("", "127.0.0.1"), ("10.0.0.0/8", "127.0.0.1"), ("10.0.0.1,127.0.0.0/8", "203.0.113.7")],
)
def test_access_line_has_the_address_that_a_trusted_proxy_reports(
    start_service: StartService, trusted: str, client: str
) -> None:
    service = start_service(SERVICE_TRUSTED_PROXIES=trusted)
    assert service.api.get("/openapi.json", headers=PROXIED).status_code == 200
    [line] = [each for each in service.records("request") if each["path"] == "/openapi.json"]
    assert line["client"] == client


def test_browser_may_send_traces_and_read_where_an_item_is(start_service: StartService) -> None:
    service = start_service(SERVICE_CORS_ORIGINS="https://a.example")
    service.until_ready()
    origin = {"origin": "https://a.example"}
    wanted = "authorization,content-type,traceparent,tracestate"
    method = {"access-control-request-method": "POST"}
    headers = {**origin, **method, "access-control-request-headers": wanted}
    assert service.api.options(PATH, headers=headers).status_code == 200
    exposed = service.api.post(PATH, json=NEW, headers=origin).headers
    assert exposed["access-control-expose-headers"] == "location, retry-after, x-request-id"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_address_of_both_families_serves_both(start_service: StartService) -> None:
    service = start_service(SERVICE_HOST="::")
    for host in ("127.0.0.1", "[::1]"):
        answer = httpx.get(f"http://{host}:{service.port}/health/live", timeout=20)
        assert answer.json() == {"status": "pass"}
