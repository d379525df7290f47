"""The guarantees of each pattern, tested by a client of the application that has copied it."""

import contextlib
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .host_app import Dependency, Response, Server, wait_until

ENDLESS_HEADERS = b"GET / HTTP/1.1\r\nhost: here\r\nx: "


def health_engine(server: Server, _: Dependency | None) -> None:
    """A failing check turns `ready` 503 in time, and back. `live` and `startup` stay 200."""
    assert server.ready() == 503
    uploads = server.project / "uploads"
    uploads.mkdir()
    wait_until(lambda: server.ready() == 200, timeout=10)
    assert server.request("/health/ready").body == b'{"status": "pass"}'
    assert server.request("/health/startup").status == 200
    uploads.rmdir()
    wait_until(lambda: server.ready() == 503, timeout=10)
    codes = [server.request(f"/health/{probe}").status for probe in ("live", "startup")]
    assert codes == [200, 200]
    assert server.request("/").status == 200


def custom_check(server: Server, _: Dependency | None) -> None:
    """A failing check with impact `warn` is reported, and `ready` stays 200."""
    wait_until(lambda: b"warn" in server.request("/health/ready").body)
    assert server.ready() == 200


def check_disk(server: Server, _: Dependency | None) -> None:
    """A folder that cannot be written turns `ready` 503, and back."""
    uploads = server.project / "uploads"
    wait_until(lambda: server.ready() == 503, timeout=10)
    uploads.mkdir()
    wait_until(lambda: server.ready() == 200, timeout=10)


def check_memory(server: Server, _: Dependency | None) -> None:
    """A process that is below its limit, or has none, is ready."""
    wait_until(lambda: server.request("/health/ready").body == b'{"status": "pass"}')


def recovery(server: Server, _: Dependency | None) -> None:
    """Every exception is answered 500, and the process keeps running."""
    for path in ("/raise", "/exit"):
        response = server.request(path)
        assert response.status == 500
        assert response.problem["title"] == "Internal Server Error"
    assert server.request("/").status == 200


def timeout(server: Server, _: Dependency | None) -> None:
    """A hanging request is answered 504 in time, and does not affect others."""
    started = time.monotonic()
    response = server.request("/hang")
    assert response.status == response.problem["status"] == 504
    assert 2 <= time.monotonic() - started < 10
    assert server.request("/").status == 200


def concurrency_limit(server: Server, _: Dependency | None) -> None:
    """A request beyond the limit is rejected at once."""
    with contextlib.ExitStack() as clients:
        for _number in range(100):
            client = clients.enter_context(server.connect())
            client.sendall(b"GET /hang HTTP/1.1\r\nhost: here\r\n\r\n")
        wait_until(lambda: server.request("/").status == 503)
        response = server.request("/")
        assert response.problem["status"] == 503
        assert response.headers["retry-after"] == "1"
    wait_until(lambda: server.request("/").status == 200)


def body_limit(server: Server, _: Dependency | None) -> None:
    """A body at the limit is accepted, unless 64 others are unfinished.

    A larger one is rejected, with or without its length.
    """
    assert server.request("/size", "POST", body=b"x" * 1_048_576).body == b"1048576"
    for body in (b"x" * 1_048_577, iter([b"x" * 524_288] * 3)):
        response = server.request("/size", "POST", body=body)
        assert response.status == response.problem["status"] == 413
    with contextlib.ExitStack() as clients:
        for _number in range(64):
            client = clients.enter_context(server.connect())
            client.sendall(b"POST /size HTTP/1.1\r\nhost: here\r\ncontent-length: 1048576\r\n\r\n")
        wait_until(lambda: server.request("/size", "POST", body=b"x" * 100_000).status == 503)
        assert server.request("/size", "POST", body=b"x" * 100).body == b"100"
    wait_until(lambda: server.request("/size", "POST", body=b"x" * 1_048_576).status == 200)


def slow_clients(server: Server, _: Dependency | None) -> None:
    """Endless headers are rejected, and a client that does not send its body is disconnected."""
    with server.connect() as client:
        client.sendall(ENDLESS_HEADERS + b"x" * 70_000)
        assert client.recv(1000).startswith(b"HTTP/1.1 431 ")
    with server.connect() as client:
        client.sendall(b"POST /size HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\nhalf")
        assert client.recv(1000) == b""
    assert server.request("/").status == 200


def frozen_dependency(server: Server, dependency: Dependency | None) -> None:
    """A dependency that does not respond turns `ready` 504, and the service still responds."""
    assert dependency
    wait_until(lambda: server.ready() == 200)
    dependency.send("pause")
    try:
        wait_until(lambda: server.ready() == 504, timeout=10)
        assert server.request("/").status == 200
    finally:
        dependency.send("resume")
    wait_until(lambda: server.ready() == 200, timeout=10)


def fail_fast(server: Server, dependency: Dependency | None) -> None:
    """While the dependency is frozen, requests that need it are answered 503, and others 200.

    Its client waits without a limit, so only the check can end a request.
    """
    assert dependency

    def visit() -> Response:
        return server.request("/visit", "POST")

    wait_until(lambda: visit().status == 200)
    dependency.send("pause")
    try:
        with ThreadPoolExecutor(10) as clients:
            waiting = [clients.submit(visit) for _ in range(10)]
            assert {each.result().status for each in waiting} == {503}
        assert [visit().headers["retry-after"] for _ in range(10)] == ["1"] * 10
        assert server.request("/").status == 200
    finally:
        dependency.send("resume")
    wait_until(lambda: visit().status == 200)


def graceful_shutdown(server: Server, _: Dependency | None) -> None:
    """After SIGTERM, requests in flight and new requests are answered. The exit status is 0."""
    wait_until(lambda: server.ready() == 200)
    with server.connect() as client:
        client.sendall(b"POST /size HTTP/1.1\r\nhost: here\r\ncontent-length: 5\r\n\r\n")
        wait_until(lambda: server.request("/").status == 200)  # the first request is now in flight
        server.terminate()
        wait_until(lambda: server.ready() == 503, timeout=4)
        response = server.request("/", headers={"connection": "keep-alive"})
        assert (response.status, response.headers["connection"]) == (200, "close")
        wait_until(lambda: not is_listening(server))
        client.sendall(b"whole")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    wait_until(lambda: server.exit_status() is not None)
    assert server.exit_status() == 0


def is_listening(server: Server) -> bool:
    """Return whether the server accepts connections."""
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return False
    return True


def traced_probes(server: Server, _: Dependency | None) -> None:
    """A probe with the header is traced, and the response names the trace. Others are not."""
    response = server.request("/health/ready", headers={"x-trace-health": "true"})
    assert response.status == 503
    assert len(response.headers["traceresponse"]) == 55
    assert "traceresponse" not in server.request("/health/ready").headers


def metrics(server: Server, _: Dependency | None) -> None:
    """Requests are counted by route. Unknown routes share one series."""
    for path in ("/", "/nowhere", "/nothing"):
        server.request(path)
    redirect = server.request("/metrics")  # Prometheus follows it
    assert redirect.headers["location"].endswith("/metrics/")
    page = server.request("/metrics/").body.decode()
    labels = r'method="GET",route="other",service_id="[a-z-]+",status_code="404"'
    assert re.search(rf"http_request_duration_seconds_count{{{labels}}} 2\.0", page)


ACCEPTANCE: dict[str, Callable[[Server, Dependency | None], None]] = {
    "health-engine": health_engine,
    "custom-check": custom_check,
    "recovery": recovery,
    "timeout": timeout,
    "concurrency-limit": concurrency_limit,
    "body-limit": body_limit,
    "slow-clients": slow_clients,
    "graceful-shutdown": graceful_shutdown,
    "check-http": custom_check,
    "check-disk": check_disk,
    "check-memory": check_memory,
    "check-worker": custom_check,
    "check-postgres": frozen_dependency,
    "check-redis": frozen_dependency,
    "check-mariadb": frozen_dependency,
    "check-nats": frozen_dependency,
    "check-rabbitmq": frozen_dependency,
    "fail-fast": fail_fast,
    "traced-probes": traced_probes,
    "metrics": metrics,
}
"""The test of each page. It raises AssertionError if the application breaks a guarantee."""
