"""A service at its limit rejects requests before it parses them, through real sockets."""

import http.client
import select
import socket
from collections.abc import Iterator

import pytest

from ..conftest import StartService
from ..processes import Service, wait_until

HOLD_SECONDS, KEEP_ALIVE_TIMEOUT = 4, 6


def get(client: socket.socket, path: str = "/faults/tasks") -> http.client.HTTPResponse:
    """Send a request on a connection that stays open, and return the whole response."""
    client.sendall(f"GET {path} HTTP/1.1\r\nhost: here\r\n\r\n".encode())
    response = http.client.HTTPResponse(client)
    response.begin()
    response.read()
    return response


def was_early(response: http.client.HTTPResponse) -> bool:
    """Return whether a response was written below ASGI: uvicorn adds a date to all others."""
    return response.getheader("date") is None


@pytest.fixture
def service(start_service: StartService) -> Service:
    settings = {"SERVICE_CONCURRENCY_LIMIT": 1, "SERVICE_KEEP_ALIVE_TIMEOUT": KEEP_ALIVE_TIMEOUT}
    running = start_service(**settings)
    running.until_ready()  # until then each response closes its connection
    return running


@pytest.fixture
def clients(service: Service) -> Iterator[list[socket.socket]]:
    opened = [socket.create_connection(("127.0.0.1", service.port), 30) for _ in range(3)]
    yield opened
    for client in opened:
        client.close()


def hold_the_slot(holder: socket.socket, other: socket.socket) -> None:
    """Send a request that takes a while, and wait until another one is rejected."""
    holder.sendall(f"GET /faults/sleep/{HOLD_SECONDS} HTTP/1.1\r\nhost: here\r\n\r\n".encode())
    wait_until(lambda: get(other).status == 503)


def test_early_rejections_keep_their_connections_and_are_logged(
    service: Service, clients: list[socket.socket]
) -> None:
    holder, known, fresh = clients
    hold_the_slot(holder, known)
    for client in (known, fresh, fresh):
        response = get(client)
        assert (response.status, was_early(response)) == (503, True)
        assert response.getheader("retry-after") == "1"
        assert get(client, "/health/live").status == 200
    assert holder.recv(1) == b"H"  # the slot is free
    for client in (known, fresh):
        wait_until(lambda: get(client).status == 200)  # noqa: B023 - it is called at once
    assert sum(each["count"] for each in service.records("requests rejected")) >= 4
    assert known.recv(1) == fresh.recv(1) == b""
    assert service.records("disconnected slow client") == []  # they were idle


@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="only Linux reports a closed peer")
def test_request_whose_client_has_left_is_not_worked_on(
    service: Service, clients: list[socket.socket]
) -> None:
    holder, other, leaving = clients
    hold_the_slot(holder, other)
    assert holder.recv(1) == b"H"
    service.process.pause()
    leaving.sendall(b"GET /faults/sleep/0 HTTP/1.1\r\nhost: here\r\n\r\n")
    leaving.close()
    service.process.resume()
    wait_until(lambda: get(other).status == 200)

    def paths() -> set[str]:
        return {each["path"] for each in service.records("request")}

    wait_until(lambda: "/faults/tasks" in paths())
    assert "/faults/sleep/0" not in paths()
