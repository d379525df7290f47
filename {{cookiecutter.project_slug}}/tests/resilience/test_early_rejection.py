"""Under overload a complete request is rejected before it is parsed, and nothing else is."""

import asyncio
import json

import pytest

from reference_service.resilience import AdaptiveLimit, EarlyRejection

GET = b"GET /items?limit=5 HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\n\r\n"
POST = b'POST /items HTTP/1.1\r\nHost: shop\r\nContent-Length: 16\r\n\r\n{"name": "Lamp"}'


@pytest.fixture
def full() -> AdaptiveLimit:
    limit = AdaptiveLimit(0.2)
    limit.in_flight = int(limit.value)
    return limit


def with_header(header: bytes) -> bytes:
    return GET.replace(b"Accept: */*", header)


@pytest.mark.parametrize("request_", [GET, POST, with_header(b"connection:  keep-alive")])
def test_ordinary_request_is_rejected_as_a_problem(full: AdaptiveLimit, request_: bytes) -> None:
    methods: list[str] = []
    response = EarlyRejection(full, on_reject=methods.append)(request_)
    assert response
    head, _, body = response.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ") for line in lines)
    problem = json.loads(body)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert headers["retry-after"] == "1"
    assert headers["content-type"] == "application/problem+json"
    assert headers["content-length"] == str(len(body))
    assert (problem["status"], problem["request_id"]) == (503, headers["x-request-id"])
    assert methods == [request_.split()[0].decode()]
    assert (full.rejected, full.rejecting) == (1, True)


@pytest.mark.parametrize("name", [b"X-Request-ID", b"x-request-id"])
def test_response_has_the_request_id_of_the_client(full: AdaptiveLimit, name: bytes) -> None:
    response = EarlyRejection(full)(with_header(name + b": order-7"))
    assert response
    assert b"x-request-id: order-7\r\n" in response
    assert json.loads(response.partition(b"\r\n\r\n")[2])["request_id"] == "order-7"


def test_each_response_has_an_id_of_its_own(full: AdaptiveLimit) -> None:
    rejection = EarlyRejection(full)
    assert len({rejection(GET) for _ in range(10)}) == 10


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(GET.replace(b"/items", b"/health/ready"), id="probe"),
        pytest.param(GET.replace(b"GET", b"HEAD"), id="head"),
        pytest.param(GET.replace(b"1.1", b"1.0"), id="http 1.0"),
        pytest.param(GET[:-2], id="incomplete headers"),
        pytest.param(GET + GET, id="pipelined"),
        pytest.param(GET + b"x", id="bytes after the request"),
        pytest.param(POST[:-1], id="incomplete body"),
        pytest.param(POST + b"x", id="bytes after the body"),
        pytest.param(POST.replace(b"16", b"+16"), id="malformed length"),
        pytest.param(
            POST.replace(b"Host: shop", b"Content-Length: 16"), id="two lengths of the same value"
        ),
        pytest.param(with_header(b"Transfer-Encoding: chunked"), id="chunked"),
        pytest.param(with_header(b"Transfer-Encoding : chunked"), id="space before a colon"),
        pytest.param(with_header(b"Connection: close"), id="close"),
        pytest.param(with_header(b"Connection: keep-alive, close"), id="keep-alive and close"),
        pytest.param(with_header(b"Connection: Upgrade\r\nUpgrade: h2c"), id="upgrade"),
        pytest.param(with_header(b"Expect: 100-continue"), id="expect"),
        pytest.param(with_header(b"Origin: https://shop.example"), id="cors"),
        pytest.param(with_header(b"A: b\nContent-Length: 5"), id="bare line feed"),
        pytest.param(with_header(b"A: b\r\n folded"), id="folded line"),
        pytest.param(with_header(b"no colon"), id="no colon"),
        pytest.param(GET.replace(b"/items", b"http://shop/items"), id="absolute form"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_other_data_is_left_to_the_parser(full: AdaptiveLimit, data: bytes) -> None:
    assert EarlyRejection(full)(data) is None
    assert full.rejected == 0


def test_nothing_is_rejected_while_responses_close_their_connections(full: AdaptiveLimit) -> None:
    assert EarlyRejection(full, unless=lambda: True)(GET) is None


async def test_requests_of_one_iteration_share_the_free_slots(full: AdaptiveLimit) -> None:
    """The server reads from many connections before the first of their requests starts."""
    full.in_flight -= 3
    rejection = EarlyRejection(full)
    for _ in range(2):
        assert sum(rejection(GET) is None for _ in range(10)) == 3
        await asyncio.sleep(0)
    assert full.rejected == 14
