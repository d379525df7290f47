"""The command `healthcheck` succeeds only for status 200 to 299."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

MODULE = "reference_service.healthcheck"


@contextmanager
def listening(response: bytes | None) -> Iterator[tuple[int, list[bytes]]]:
    """Send each client the response, or nothing. Yield the port and the requests received."""
    requests: list[bytes] = []
    stopped = threading.Event()

    def serve() -> None:
        while True:
            connection, _ = server.accept()
            with connection:
                if stopped.is_set():
                    return
                requests.append(connection.recv(1000))
                if response is None:
                    connection.recv(1)  # until the client gives up
                else:
                    connection.sendall(response)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield port, requests
        finally:
            stopped.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join()


def run_command(port: int, *arguments: str) -> tuple[int, str]:
    """Return the exit status and the output of the command."""
    completed = subprocess.run(
        [sys.executable, "-m", MODULE, *arguments],
        env={**os.environ, "SERVICE_PORT": str(port)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert not completed.stderr
    return completed.returncode, completed.stdout.strip()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("200 OK", 0),
        ("204 No Content", 0),
        ("302 Found\r\nLocation: /login", 1),
        ("404 Not Found", 1),
        ("500 Internal Server Error", 1),
        ("503 Service Unavailable", 1),
        ("504 Gateway Timeout", 1),
    ],
)
def test_exit_status_is_0_only_for_2xx_and_status_line_is_printed(line: str, status: int) -> None:
    with listening(f"HTTP/1.1 {line}\r\n\r\n".encode()) as (port, _):
        assert run_command(port) == (status, f"HTTP/1.1 {line.splitlines()[0]}")


@pytest.mark.parametrize("response", [None, b"", b"HTTP/1.1 20", b"220 mail.example ESMTP\r\n"])
def test_missing_or_malformed_response_exits_with_1(response: bytes | None) -> None:
    with listening(response) as (port, _):
        assert run_command(port)[0] == 1


def test_connection_refused_exits_with_1() -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        status, output = run_command(bound.getsockname()[1])
    assert status == 1
    assert "refused" in output


@pytest.mark.parametrize("probe", ["startup", "ready", "live"])
def test_named_probe_is_requested_and_live_by_default(probe: str) -> None:
    with listening(b"HTTP/1.1 200 OK\r\n\r\n") as (port, requests):
        run_command(port, probe)
        run_command(port)
    assert [request.split(b" ")[1].decode() for request in requests] == [
        f"/health/{probe}",
        "/health/live",
    ]


@pytest.mark.parametrize("arguments", [["reday"], ["ready", "live"]])
def test_invalid_arguments_print_usage_and_send_no_request(arguments: list[str]) -> None:
    with listening(b"HTTP/1.1 200 OK\r\n\r\n") as (port, requests):
        status, output = run_command(port, *arguments)
    assert (status, requests) == (1, [])
    assert output == "usage: healthcheck [startup|ready|live]"
