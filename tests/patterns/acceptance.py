"""What each pattern promises, seen by a client of the foreign application that has copied it."""

import contextlib
import socket
import time
from collections.abc import Callable

from .host_app import Dependency, Server, until

ENDLESS = b"GET / HTTP/1.1\r\nhost: here\r\nx: "


def probes(server: Server, _: Dependency | None) -> None:
    """A check that fails is told in time, and so is its recovery; `live` stays as it is."""
    assert server.ready() == 503
    uploads = server.project / "uploads"
    uploads.mkdir()
    until(lambda: server.ready() == 200, within=10)
    assert server.ask("/health/ready").body == b'{"status": "pass"}'
    assert server.ask("/health/startup").status == 200
    uploads.rmdir()
    until(lambda: server.ready() == 503, within=10)
    assert [server.ask(f"/health/{probe}").status for probe in ("live", "startup")] == [200, 200]
    assert server.ask("/").status == 200


def own_check(server: Server, _: Dependency | None) -> None:
    """What one can do without is told, and takes nothing out of rotation."""
    until(lambda: b"warn" in server.ask("/health/ready").body)
    assert server.ready() == 200


def recovery(server: Server, _: Dependency | None) -> None:
    """Each is answered 500, and the process lives on."""
    for path in ("/raise", "/exit"):
        answer = server.ask(path)
        assert answer.status == 500
        assert answer.problem["title"] == "Internal Server Error"
    assert server.ask("/").status == 200


def timeout(server: Server, _: Dependency | None) -> None:
    """Who hangs is answered 504 in time, and hinders nobody."""
    begun = time.monotonic()
    answer = server.ask("/hang")
    assert answer.status == answer.problem["status"] == 504
    assert 2 <= time.monotonic() - begun < 10
    assert server.ask("/").status == 200


def load_limit(server: Server, _: Dependency | None) -> None:
    """The request beyond the limit is refused at once; when one has gone there is room again."""
    with contextlib.ExitStack() as held:
        for _number in range(100):
            client = held.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(b"GET /hang HTTP/1.1\r\nhost: here\r\n\r\n")
        until(lambda: server.ask("/").status == 503)
        answer = server.ask("/")
        assert answer.problem["status"] == 503
        assert answer.headers["retry-after"] == "1"


def body_limit(server: Server, _: Dependency | None) -> None:
    """What is within the limit arrives; what is not is refused, whether it says so or not."""
    assert server.ask("/size", "POST", body=b"x" * 1_048_576).body == b"1048576"
    for body in (b"x" * 1_048_577, iter([b"x" * 524_288] * 3)):
        answer = server.ask("/size", "POST", body=body)
        assert answer.status == answer.problem["status"] == 413


def slow_clients(server: Server, _: Dependency | None) -> None:
    """A head that is endless is refused, a body that does not come is waited for no longer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(ENDLESS + b"x" * 70_000)
        assert client.recv(1000).startswith(b"HTTP/1.1 431 ")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"POST /size HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\nhalf")
        assert client.recv(1000) == b""
    assert server.ask("/").status == 200


def frozen_dependency(server: Server, dependency: Dependency | None) -> None:
    """A dependency that does not answer makes `ready` 504, and not slow."""
    assert dependency
    until(lambda: server.ready() == 200)
    dependency.do("pause")
    try:
        until(lambda: server.ready() == 504, within=10)
        assert server.ask("/").status == 200
    finally:
        dependency.do("resume")
    until(lambda: server.ready() == 200, within=10)


def drain(server: Server, _: Dependency | None) -> None:
    """What runs at the time of SIGTERM is finished, what still comes is answered; status 0."""
    until(lambda: server.ready() == 200)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"POST /size HTTP/1.1\r\nhost: here\r\ncontent-length: 5\r\n\r\n")
        until(lambda: server.ask("/").status == 200)  # by now it runs
        server.terminate()
        until(lambda: server.ready() == 503, within=4)
        answer = server.ask("/", headers={"connection": "keep-alive"})
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        until(lambda: not listens(server))
        client.sendall(b"whole")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    until(lambda: server.status() is not None)
    assert server.status() == 0


def listens(server: Server) -> bool:
    """Tell whether a connection is accepted."""
    try:
        socket.create_connection(("127.0.0.1", server.port)).close()
    except ConnectionRefusedError:
        return False
    return True


def traced_probes(server: Server, _: Dependency | None) -> None:
    """Whoever asks is told which trace it is; who does not makes none."""
    answer = server.ask("/health/ready", headers={"x-trace-health": "true"})
    assert answer.status == 503
    assert len(answer.headers["traceresponse"]) == 55
    assert "traceresponse" not in server.ask("/health/ready").headers


def metrics(server: Server, _: Dependency | None) -> None:
    """Prometheus, which follows a redirect, finds requests by route, and few series."""
    for path in ("/", "/nowhere", "/nothing"):
        server.ask(path)
    assert server.ask("/metrics").headers["location"].endswith("/metrics/")
    page = server.ask("/metrics/").body.decode()
    told = 'http_request_duration_seconds_count{method="GET",route="other",service_id="shop"'
    assert f'{told},status_code="404"}} 2.0' in page


LOOKS: dict[str, Callable[[Server, Dependency | None], None]] = {
    "health-engine": probes,
    "custom-check": own_check,
    "recovery": recovery,
    "timeout": timeout,
    "concurrency-limit": load_limit,
    "body-limit": body_limit,
    "slow-clients": slow_clients,
    "graceful-shutdown": drain,
    "check-postgres": frozen_dependency,
    "check-redis": frozen_dependency,
    "traced-probes": traced_probes,
    "metrics": metrics,
}
"""By page: raises AssertionError when the promise is not kept."""
