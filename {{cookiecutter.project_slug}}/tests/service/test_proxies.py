"""Between a client and the service: prefixes, addresses, browsers."""

import socket

import pytest

from ..conftest import StartService
from ..domain import NEW, PATH
from ..processes import Service, wait_until

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


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8", "127.0.0.1"])
def test_id_is_marked_if_no_trusted_proxy_sent_it(
    start_service: StartService, trusted: str
) -> None:
    service = start_service(SERVICE_TRUSTED_PROXIES=trusted)
    sent = service.api.get("/openapi.json", headers={**PROXIED, "x-request-id": "chosen"})
    created = [service.api.get("/openapi.json").headers["x-request-id"] for _ in range(2)]
    assert sent.headers["x-request-id"] == "chosen"
    assert created[0][:16] != created[1][:16]  # random, not counted
    wait_until(lambda: len(service.records("request")) > 2)
    lines = {line["request_id"]: line for line in service.records("request")}
    source = None if trusted == "127.0.0.1" else "client"
    assert lines["chosen"].get("request_id_source") == source
    assert not any("request_id_source" in lines[each] for each in created)


def access_line(service: Service, request_id: str) -> dict[str, object]:
    """Return the access line of a request, as soon as it is there."""

    def lines() -> list[dict[str, object]]:
        return [line for line in service.records("request") if line["request_id"] == request_id]

    wait_until(lines)
    [line] = lines()
    return line


def test_access_line_has_route_bytes_version_and_user_agent(start_service: StartService) -> None:
    service = start_service(SERVICE_LOG_USER_AGENT="true")
    service.until_ready()
    path = service.api.post(PATH, json=NEW).headers["location"]
    for method in ("GET", "HEAD"):
        response = service.api.request(method, path, headers={"user-agent": 'a "client"'})
        line = access_line(service, response.headers["x-request-id"])
        assert line["route"] == f"{PATH}/{{item_id}}"
        assert line["bytes"] == len(response.content)
        assert line["method"] == method
        assert line["user_agent"] == 'a "client"'
        assert (line["version"], line["host"]) == ("0.1.0", socket.gethostname())


def test_links_have_the_scheme_of_a_trusted_proxy_and_the_host_of_the_request(
    start_service: StartService,
) -> None:
    service = start_service(SERVICE_TRUSTED_PROXIES="127.0.0.1")
    service.until_ready()
    headers = {**PROXIED, "host": "shop.example", "x-forwarded-host": "evil.example"}
    created = service.api.post(PATH, json=NEW, headers=headers)
    assert created.headers["location"].startswith(f"{PATH}/")
    assert "evil.example" not in service.api.get("/openapi.json", headers=headers).text
    assert "servers" not in service.api.get("/openapi.json", headers=headers).json()
    assert service.api.get("/faults/url", headers=headers).json() == (
        "https://shop.example/faults/url"
    )


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
