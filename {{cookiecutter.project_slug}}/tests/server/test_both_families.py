"""A listener for both families of IP."""

import socket

import httpx
import pytest

from ..conftest import StartService
from ..service.test_proxies import PROXIED, access_line

pytestmark = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 on this machine")


def test_address_of_both_families_serves_both(start_service: StartService) -> None:
    service = start_service(SERVICE_HOST="::")
    for host in ("127.0.0.1", "[::1]"):
        answer = httpx.get(f"http://{host}:{service.port}/health/live", timeout=20)
        assert answer.json() == {"status": "pass"}


def test_ipv4_proxy_of_a_listener_for_both_families_is_trusted(
    start_service: StartService,
) -> None:
    service = start_service(SERVICE_HOST="[::]", SERVICE_TRUSTED_PROXIES="127.0.0.1")
    headers = {**PROXIED, "x-request-id": "mapped"}
    httpx.get(f"http://127.0.0.1:{service.port}/openapi.json", headers=headers, timeout=20)
    assert access_line(service, "mapped")["client"] == "203.0.113.7"
