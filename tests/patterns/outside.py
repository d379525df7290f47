"""What each pattern promises, seen by a client of the foreign application that has copied it."""

import contextlib
import shutil
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .foreign import Server, until

ENDLESS = b"GET / HTTP/1.1\r\nhost: here\r\nx: "


def probes(server: Server, project: Path) -> None:
    """A check that fails is told within its bound, and so is its recovery; `live` stays as it is."""
    assert server.ready() == 503
    (project / "uploads").mkdir()
    until(lambda: server.ready() == 200, within=7)
    assert server.ask("/health/ready").body == b'{"status": "pass"}'
    assert server.ask("/health/startup").status == 200
    shutil.rmtree(project / "uploads")
    until(lambda: server.ready() == 503, within=8)
    assert [server.ask(f"/health/{probe}").status for probe in ("live", "startup")] == [200, 200]
    assert server.ask("/").status == 200


def own_check(server: Server, _: Path) -> None:
    """What one can do without is told, and takes nothing out of rotation."""
    until(lambda: b"warn" in server.ask("/health/ready").body)
    assert server.ready() == 200


def recovery(server: Server, _: Path) -> None:
    """Each is answered 500, and the process lives on."""
    for path in ("/raise", "/exit"):
        answer = server.ask(path)
        assert answer.status == 500
        assert answer.problem["title"] == "Internal Server Error"
    assert server.ask("/").status == 200


def timeout(server: Server, _: Path) -> None:
    """Who hangs is answered 504 in time, and hinders nobody."""
    begun = time.monotonic()
    answer = server.ask("/hang")
    assert answer.status == answer.problem["status"] == 504
    assert 2 <= time.monotonic() - begun < 5
    assert server.ask("/").status == 200


def load_limit(server: Server, _: Path) -> None:
    """The request beyond the limit is refused at once; when one has gone there is room again."""
    with contextlib.ExitStack() as held:
        for _number in range(100):
            client = held.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(b"GET /hang HTTP/1.1\r\nhost: here\r\n\r\n")
        until(lambda: server.ask("/").status == 503)
        answer = server.ask("/")
        assert answer.problem["status"] == 503
        assert answer.headers["retry-after"] == "1"


def body_limit(server: Server, _: Path) -> None:
    """What is within the limit arrives; what is not is refused, whether it says so or not."""
    assert server.ask("/size", "POST", body=b"x" * 1_048_576).body == b"1048576"
    for body in (b"x" * 1_048_577, iter([b"x" * 524_288] * 3)):
        answer = server.ask("/size", "POST", body=body)
        assert answer.status == answer.problem["status"] == 413


def slow_clients(server: Server, _: Path) -> None:
    """A head that is endless is refused, a body that does not come is waited for no longer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(ENDLESS + b"x" * 70_000)
        assert client.recv(1000).startswith(b"HTTP/1.1 431 ")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"POST /size HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\nhalf")
        assert client.recv(1000) == b""
    assert server.ask("/").status == 200


LOOKS: dict[str, Callable[[Server, Path], None]] = {
    "health-engine": probes,
    "check-of-your-own": own_check,
    "recovery": recovery,
    "timeout": timeout,
    "load-limit": load_limit,
    "body-limit": body_limit,
    "slow-clients": slow_clients,
}
"""By page: raises AssertionError when the promise is not kept."""
