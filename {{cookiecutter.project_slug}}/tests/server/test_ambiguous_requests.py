"""Requests that two servers could understand differently, and upgrades, through real sockets."""

import json
import socket
from collections.abc import Iterator

import pytest

from ..domain import NEW, PATH
from ..processes import Service

BODY = json.dumps(NEW).encode()
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
INNER = b"DELETE /faults/echo/inner HTTP/1.1\r\nHost: here\r\n\r\n"
GET = b"GET /faults/echo/first HTTP/1.1\r\nHost: here\r\n\r\n"
FRAMINGS = [
    (b"Content-Length: %d\r\n" % len(BODY), BODY),
    (b"Transfer-Encoding: chunked\r\n", CHUNKED),
]


@pytest.fixture(scope="module")
def service(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One service for all tests: a rejected request leaves nothing behind."""
    with Service(environment, tmp_path_factory.mktemp("ambiguous") / "service.log") as service:
        service.until_ready()
        yield service


def request(target: bytes, fields: bytes = b"", body: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: here\r\n%b\r\n%b" % (target, fields, body)


def create(fields: bytes, body: bytes = b"", *, last: bool = True) -> bytes:
    close = b"Connection: close\r\n" if last else b""
    fields = b"Content-Type: application/json\r\n" + fields + close
    return request(PATH.encode(), fields, body)


def answers(service: Service, *packets: bytes) -> list[tuple[int, bytes]]:
    """Return the status and body of each answer, until the service closes the connection."""
    with socket.create_connection(("127.0.0.1", service.port), 20) as client:
        for packet in packets:
            client.sendall(packet)
            service.probe("live")  # so that the service has read the packet
        received = b"".join(iter(lambda: client.recv(65536), b""))
    parts = (part.split(b"\r\n\r\n", 1) for part in received.split(b"HTTP/1.1 ")[1:])
    return [(int(head[:3]), body) for head, body in parts]


def statuses(service: Service, *packets: bytes) -> list[int]:
    return [status for status, _ in answers(service, *packets)]


@pytest.mark.parametrize(("framing", "body"), FRAMINGS)
def test_unsupported_upgrade_is_ignored(service: Service, framing: bytes, body: bytes) -> None:
    upgrade = UPGRADE + framing
    assert statuses(service, create(upgrade, body)) == [201]
    assert statuses(service, create(upgrade), body) == [201]
    assert statuses(service, create(upgrade)[:-4], b"\r\n\r\n" + body[:5], body[5:]) == [201]
    first = create(upgrade, body, last=False)
    assert statuses(service, first * 3 + create(upgrade, body)) == [201] * 4
    assert statuses(service, create(upgrade + b"Expect: 100-continue\r\n"), body) == [100, 201]


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"TLS/1.0, HTTP/1.1", b""])
def test_request_in_the_body_of_an_upgrade_is_not_executed(
    service: Service, upgrade: bytes
) -> None:
    fields = b"Connection: close, Upgrade\r\nUpgrade: %b\r\nContent-Length: %d\r\n"
    outer = request(b"/faults/echo/outer", fields % (upgrade, len(INNER)))
    [(status, body)] = answers(service, outer, INNER)
    assert status == 200
    assert json.loads(body)[3] == INNER.decode()
    assert "/faults/echo/inner" not in service.api.get("/faults/echoed").json()


@pytest.mark.parametrize("host", [b"here", b"here:80", b"[::1]"])
def test_options_for_the_whole_server_is_answered_without_a_body(
    service: Service, host: bytes
) -> None:
    ping = b"OPTIONS * HTTP/1.1\r\nHost: %b\r\n" % host
    last = ping + b"Connection: close\r\n\r\n"
    assert answers(service, ping + b"\r\n" + last) == [(204, b"")] * 2
    assert statuses(service, ping + b"Content-Length: 3\r\n\r\nabc" + last) == [204] * 2


@pytest.mark.parametrize(
    "ambiguous",
    [
        b"GET /health/live HTTP/1.1\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: here\r\nHost: here\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: here@there\r\n\r\n",
        b"GET http://there/health/live HTTP/1.1\r\nHost: here\r\n\r\n",
        b"GET ftp://here/health/live HTTP/1.1\r\nHost: here\r\n\r\n",
        b"GET /health/live#fragment HTTP/1.1\r\nHost: here\r\n\r\n",
        b"GET /health/live HTTP/2.0\r\nHost: here\r\n\r\n",
        b"GET /health/live\r\nHost: here\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: here\r\n\r\n",
        b"OPTIONS *?a HTTP/1.1\r\nHost: here\r\n\r\n",
        b"OPTIONS ** HTTP/1.1\r\nHost: here\r\n\r\n",
        b"CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n",
        b"CONNECT http://here/ HTTP/1.1\r\nHost: here\r\n\r\n",
        b"POST /faults/echo/inner HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        request(b"/faults/echo/inner", b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
        request(b"/faults/echo/inner", b"Transfer-Encoding: ,chunked\r\n", b"0\r\n\r\n"),
        request(
            b"/faults/echo/inner",
            b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            b"0\r\n\r\n",
        ),
        request(
            b"/faults/echo/inner",
            b"Transfer-Encoding: chunked\r\n",
            b"0\r\nConnection: close\r\n\r\n",
        ),
    ],
)
def test_ambiguous_request_is_answered_400(service: Service, ambiguous: bytes) -> None:
    [(status, body)] = answers(service, ambiguous)
    assert status == 400
    assert json.loads(body)["request_id"]
    assert "/faults/echo/inner" not in service.api.get("/faults/echoed").json()


def test_invalid_body_of_an_answered_request_gets_no_second_answer(service: Service) -> None:
    """The second answer could be taken for the one to the next request."""
    start = GET[:-2].replace(b"/faults/echo/first", PATH.encode())
    chunked = start + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab"
    assert early_answers(service, chunked, b"cde") == [200]
    counted = start + b"Content-Length: 3\r\n\r\nab"
    assert early_answers(service, counted, b"c" + b"malformed\r\n\r\n") == [200, 400]


def early_answers(service: Service, start: bytes, rest: bytes) -> list[int]:
    """Send the rest of a request when it has been answered, and return every status."""
    with socket.create_connection(("127.0.0.1", service.port), 20) as client:
        client.sendall(start)
        received = client.recv(65536)
        client.sendall(rest)
        received += b"".join(iter(lambda: client.recv(65536), b""))
    return [int(head[:3]) for head in received.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    "unusual",
    [
        b"GET /health/live HTTP/1.0\r\n\r\n",
        b"\r\n\r\nGET /health/live HTTP/1.0\r\nHost: \r\n\r\n",
        b"GET http://here/health/live HTTP/1.1\r\nHost: HERE\r\nConnection: close\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: [::1]:8000\r\nConnection: close\r\n\r\n",
    ],
)
def test_unusual_but_clear_request_is_answered(service: Service, unusual: bytes) -> None:
    assert statuses(service, unusual) == [200]


def test_trailers_do_not_become_headers(service: Service) -> None:
    fields = b"Transfer-Encoding: chunked\r\nConnection: close\r\n"
    body = b"1\r\nx\r\n0\r\nAuthorization: secret\r\n\r\n"
    [(_, body)] = answers(service, request(b"/faults/echo/trailers", fields, body))
    assert [name for name, _ in json.loads(body)[2]] == ["host", "transfer-encoding", "connection"]


def test_white_space_around_a_value_does_not_belong_to_it(service: Service) -> None:
    fields = b"Connection: \t close\t \r\nX-Empty: \t\r\nX-Request-ID: abc \r\n"
    [(_, body)] = answers(service, request(b"/faults/echo/padded", fields))
    headers = dict(json.loads(body)[2])
    assert [headers[name] for name in ("connection", "x-empty", "x-request-id")] == [
        "close",
        "",
        "abc",
    ]


@pytest.mark.parametrize(
    "invalid", [b"nonsense\r\n\r\n", request(PATH.encode(), FRAMINGS[1][0], b"+1\r\nx\r\n")]
)
def test_requests_before_an_invalid_one_get_their_answers(service: Service, invalid: bytes) -> None:
    first = create(*FRAMINGS[0], last=False)
    assert statuses(service, first + GET + invalid) == [201, 200, 400]
    assert statuses(service, first, GET, invalid) == [201, 200, 400]


def test_http_1_0_client_gets_no_100_continue(service: Service) -> None:
    head = b"POST /faults/echo/old HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    assert statuses(service, head + b"x") == [200]
