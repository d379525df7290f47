"""The command that asks a probe: only an answer from 200 to 299 is healthy."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PACKAGE = "reference_service.health"


@contextmanager
def listening(answer: bytes | None) -> Iterator[tuple[int, list[bytes]]]:
    """Give each client the answer, or silence; yield the port, and the requests as they come."""
    requests: list[bytes] = []
    stopped = threading.Event()

    def serve() -> None:
        while True:
            connection, _ = server.accept()
            with connection:
                if stopped.is_set():
                    return
                requests.append(connection.recv(1000))
                if answer is None:
                    connection.recv(1)  # until the client gives up
                else:
                    connection.sendall(answer)

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


def ask(port: int, *arguments: str) -> tuple[int, str]:
    """Run the command, and return its exit status and what it said."""
    ended = subprocess.run(
        [sys.executable, "-m", PACKAGE, *arguments],
        env={**os.environ, "SERVICE_PORT": str(port)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert not ended.stderr
    return ended.returncode, ended.stdout.strip()


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
def test_only_success_is_healthy_and_the_answer_is_told(line: str, status: int) -> None:
    with listening(f"HTTP/1.1 {line}\r\n\r\n".encode()) as (port, _):
        assert ask(port) == (status, f"HTTP/1.1 {line.splitlines()[0]}")


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 20", b"220 mail.example ESMTP\r\n"])
def test_silence_half_an_answer_and_another_protocol_are_not_healthy(answer: bytes | None) -> None:
    with listening(answer) as (port, _):
        assert ask(port)[0] == 1


def test_nobody_there_is_not_healthy() -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        status, said = ask(bound.getsockname()[1])
    assert status == 1
    assert "refused" in said


@pytest.mark.parametrize("probe", ["startup", "ready", "live"])
def test_the_probe_that_is_named_is_asked(probe: str) -> None:
    with listening(b"HTTP/1.1 200 OK\r\n\r\n") as (port, requests):
        ask(port, probe)
        ask(port)
    assert [request.split(b" ")[1].decode() for request in requests] == [
        f"/health/{probe}",
        "/health/live",
    ]


@pytest.mark.parametrize("arguments", [["reday"], ["ready", "live"]])
def test_another_name_is_not_healthy_and_asks_nobody(arguments: list[str]) -> None:
    with listening(b"HTTP/1.1 200 OK\r\n\r\n") as (port, requests):
        status, said = ask(port, *arguments)
    assert (status, requests) == (1, [])
    assert said == f"usage: python -m {PACKAGE} [startup|ready|live]"
