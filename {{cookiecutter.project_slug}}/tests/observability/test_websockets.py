"""WebSockets and event streams on a real server, with failing handlers, limits and a shutdown."""

import contextlib
import json
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from ..conftest import StartService
from ..processes import Service, wait_until

ECHO = "/faults/ws/1/echo"
ROUTE = "/faults/ws/{name}/echo"
LINGER_RESET = struct.pack("ii", 1, 0)


def open_websocket(service: Service, path: str, **options: Any) -> ClientConnection:
    url = f"ws://127.0.0.1:{service.port}{path}"
    websocket: ClientConnection = connect(url, proxy=None, open_timeout=20, **options)
    return websocket


def rejection(service: Service, path: str) -> tuple[int, dict[str, Any], str]:
    """Return the status, the problem and the id of the answer to a handshake."""
    with pytest.raises(InvalidStatus) as caught, open_websocket(service, path):
        pass
    response = caught.value.response
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, json.loads(response.body), response.headers["x-request-id"]


def close_code(websocket: ClientConnection) -> int:
    """Return the code with which the service closes the connection."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            websocket.recv(timeout=20)
    assert websocket.close_code is not None
    return websocket.close_code


def logged(service: Service, message: str, **fields: object) -> dict[str, Any]:
    """Return the only line with this message and these fields, as soon as it is there."""

    def lines() -> list[dict[str, Any]]:
        return [line for line in service.records(message) if fields.items() <= line.items()]

    wait_until(lines)
    [line] = lines()
    return line


def metric(service: Service, line: str) -> float:
    """Return the value of a metric whose line starts so, or 0."""
    page = service.management.get("/metrics").text.splitlines()
    return sum(float(each.rpartition(" ")[2]) for each in page if each.startswith(line))


def test_connection_is_logged_and_measured_once_when_it_has_ended(service: Service) -> None:
    with open_websocket(service, ECHO, additional_headers={"x-request-id": "mine"}) as websocket:
        websocket.send("hello")
        assert websocket.recv(timeout=20) == "hello"
        assert websocket.response is not None
        assert websocket.response.headers["x-request-id"] == "mine"
        wait_until(lambda: metric(service, "websocket_connections_open") == 1)
        websocket.close(4000)
    line = logged(service, "websocket closed")
    assert (
        line.items()
        >= {
            "level": "info",
            "request_id": "mine",
            "request_id_source": "client",
            "client": "127.0.0.1",
            "path": ECHO,
            "route": ROUTE,
            "status": 101,
            "close_code": 4000,
        }.items()
    )
    wait_until(lambda: metric(service, "websocket_connections_open") == 0)
    count = "websocket_connection_duration_seconds_count"
    assert metric(service, f'{count}{{close_code="4000",route="{ROUTE}"') == 1
    assert not [line for line in service.records("request") if line["path"] == ECHO]


@pytest.mark.parametrize(
    ("message", "code"), [("raise", 1011), ("reject", 1011), ("down", 1013), ("return", 1000)]
)
def test_handler_that_ends_closes_the_connection(service: Service, message: str, code: int) -> None:
    with open_websocket(service, ECHO) as websocket:
        websocket.send(message)
        assert close_code(websocket) == code
        assert websocket.response is not None
        request_id = websocket.response.headers["x-request-id"]
    line = logged(service, "websocket closed")
    assert line["close_code"] == code
    assert line["level"] == ("warning" if code == 1011 else "info")
    errors = service.records("websocket failed")
    assert len(errors) == (message == "raise")
    for error in errors:
        assert error["request_id"] == request_id
        assert "ValueError: secret" in error["exception"]
    assert metric(service, "http_unhandled_exceptions_total") == len(errors)


@pytest.mark.parametrize(
    ("kind", "status"), [("raise", 500), ("return", 500), ("unauthorized", 401), ("down", 503)]
)
def test_handler_that_fails_before_it_accepts_is_answered_with_a_problem(
    service: Service, kind: str, status: int
) -> None:
    answered, problem, request_id = rejection(service, f"/faults/ws/before/{kind}")
    assert answered == problem["status"] == status
    assert problem["request_id"] == request_id
    assert "secret" not in json.dumps(problem)
    if kind == "down":  # like any request that is rejected because a check fails
        assert logged(service, "requests rejected")["reasons"] == {"circuit_open": 1}
    else:
        assert logged(service, "request", method="GET", status=status, request_id=request_id)
    assert len(service.records("websocket failed")) == (status == 500)


def test_path_without_a_websocket_is_answered_403(service: Service) -> None:
    with pytest.raises(InvalidStatus) as caught, open_websocket(service, "/faults/nothing"):
        pass
    assert caught.value.response.status_code == 403


def test_handshake_that_takes_too_long_is_answered_504(start_service: StartService) -> None:
    service = start_service(SERVICE_REQUEST_TIMEOUT=1)
    assert rejection(service, "/faults/ws/before/hang")[0] == 504
    assert metric(service, "http_request_timeouts_total") == 1
    with open_websocket(service, "/faults/ws/push") as websocket:
        for _ in range(30):  # 1.5 s: the timeout is for the handshake
            assert websocket.recv(timeout=20) == "tick"


def test_limit_counts_handshakes_and_not_open_connections(start_service: StartService) -> None:
    service = start_service(SERVICE_CONCURRENCY_LIMIT=1)
    service.until_ready()
    with open_websocket(service, ECHO) as websocket, open_websocket(service, ECHO):
        websocket.send("hello")
        assert websocket.recv(timeout=20) == "hello"
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as waiting:
            waiting.sendall(b"GET /faults/sleep/3600 HTTP/1.1\r\nhost: here\r\n\r\n")
            wait_until(lambda: service.api.get("/faults/tasks").status_code == 503)
            status, problem, _ = rejection(service, ECHO)
            assert (status, problem["title"]) == (503, "Service Unavailable")
        wait_until(lambda: service.api.get("/faults/tasks").status_code == 200)
    wait_until(lambda: metric(service, "websocket_connections_open") == 0)


def test_message_that_is_too_large_closes_the_connection(start_service: StartService) -> None:
    service = start_service(SERVICE_MAX_BODY_BYTES=1000)
    with open_websocket(service, ECHO) as websocket:
        websocket.send("x" * 1001)
        assert close_code(websocket) == 1009


@pytest.mark.parametrize("path", [ECHO, "/faults/ws/push"])
def test_client_that_vanishes_is_not_an_error(service: Service, path: str) -> None:
    websocket = open_websocket(service, path)
    endpoint = websocket.socket
    endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    endpoint.close()
    line = logged(service, "websocket closed")
    assert line["close_code"] in {1005, 1006}
    assert not service.records("websocket failed")
    wait_until(lambda: metric(service, "websocket_connections_open") == 0)


@pytest.mark.parametrize("path", [ECHO, "/faults/ws/push"])
def test_shutdown_closes_open_websockets_with_1012(service: Service, path: str) -> None:
    with open_websocket(service, path) as websocket:
        wait_until(lambda: metric(service, "websocket_connections_open") == 1)
        service.signal(signal.SIGTERM)
        assert close_code(websocket) == 1012
    assert service.ends_with(within=10) == 0
    line = logged(service, "websocket closed")
    assert line["level"] == "info"
    assert not service.records("websocket failed")


def test_prefix_of_a_proxy_applies_to_websockets(start_service: StartService) -> None:
    service = start_service(SERVICE_ROOT_PATH="/shop")
    for path in (ECHO, f"/shop{ECHO}"):
        with open_websocket(service, path) as websocket:
            websocket.send("context")
            assert websocket.recv(timeout=20) == "/shop"


def events_of(service: Service) -> Callable[[], bytes]:
    """Open an event stream, and return what reads the rest of it, until its end."""
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
    connection.sendall(b"GET /faults/events HTTP/1.1\r\nhost: here\r\n\r\n")
    received = b""
    while b"data: tick" not in received:
        received += connection.recv(65536)

    def rest() -> bytes:
        nonlocal received
        with connection:
            while part := connection.recv(65536):
                received += part
        return received

    return rest


def test_shutdown_ends_event_streams_as_complete_responses(service: Service) -> None:
    rest = events_of(service)
    service.signal(signal.SIGTERM)
    assert rest().endswith(b"\r\n0\r\n\r\n")
    assert service.ends_with(within=10) == 0
    line = logged(service, "request", route="/faults/events", status=200, level="info")
    assert line["bytes"] >= len("data: tick\n\n")


def test_event_stream_is_measured_until_its_first_byte(service: Service) -> None:
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
    with connection:
        connection.sendall(b"GET /faults/events HTTP/1.1\r\nhost: here\r\n\r\n")
        received = b""
        while received.count(b"data: tick") < 60:  # 3 s
            received += connection.recv(65536)
    series = 'http_request_duration_seconds_sum{method="GET",route="/faults/events"'
    wait_until(lambda: 0 < metric(service, series) < 1)
    line = logged(service, "request", route="/faults/events", level="info")
    assert line["duration_ms"] > 2000


def test_handshake_is_an_ordinary_request_if_no_library_is_installed(
    start_service: StartService, tmp_path: Path
) -> None:
    for library in ("websockets", "wsproto"):
        (tmp_path / f"{library}.py").write_text("raise ImportError")
    service = start_service(PYTHONPATH=tmp_path)
    assert rejection(service, ECHO)[0] == 404
    assert logged(service, "request", path=ECHO, status=404, method="GET")


@pytest.mark.parametrize("framing", ["Content-Length: 3", "Transfer-Encoding: chunked"])
def test_handshake_with_a_body_is_an_ordinary_request(service: Service, framing: str) -> None:
    body = "abc" if "3" in framing else "3\r\nabc\r\n0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as client:
        client.sendall(
            f"GET /faults/echo/x HTTP/1.1\r\nHost: here\r\n{framing}\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
            f"Connection: close, Upgrade\r\n\r\n{body}".encode()
        )
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"abc"]' in answer
