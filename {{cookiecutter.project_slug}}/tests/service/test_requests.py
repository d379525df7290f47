"""What a client receives from a real server when a request fails."""

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from ..conftest import StartService
from ..domain import PATH
from ..processes import Service, wait_until


@pytest.mark.parametrize("family", ["ValueError", "ExceptionGroup", "SystemExit", "CancelledError"])
def test_any_exception_is_answered_500_with_a_body(service: Service, family: str) -> None:
    answer = service.api.get(f"/faults/raise/{family}", headers={"x-request-id": "me-1"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "me-1"
    assert "secret" not in answer.text
    [record] = service.records("request failed")
    assert record["request_id"] == "me-1"
    assert family in record["exception"]
    assert service.probe("live") == 200


def test_exception_in_a_thread_is_answered_500(service: Service) -> None:
    assert service.api.get("/faults/raise-in-thread").status_code == 500


def test_exception_after_response_started_aborts_the_connection(service: Service) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        service.api.get("/faults/break-off")
    wait_until(lambda: service.records("request failed after its response started"))
    errors = [line for line in service.log.read_text().splitlines() if '"level": "error"' in line]
    assert len(errors) == 1


def test_slow_request_is_answered_504(start_service: StartService) -> None:
    service = start_service(SERVICE_REQUEST_TIMEOUT=0.3)
    answer = service.api.get("/faults/sleep/60")
    assert answer.status_code == 504
    assert answer.json()["detail"] == "The service did not start a response within 0.3 s."
    assert answer.elapsed.total_seconds() < 5


def test_requests_beyond_the_limit_are_rejected_but_probes_are_not(
    start_service: StartService,
) -> None:
    service = start_service(SERVICE_CONCURRENCY_LIMIT=2)
    service.until_ready()

    def sleep_until_served() -> int:
        """Repeat a request that was rejected because the test itself was polling."""
        while (answer := service.api.get("/faults/sleep/1")).status_code == 503:
            assert answer.headers["retry-after"] == "1"
        return answer.status_code

    with ThreadPoolExecutor() as pool:
        running = [pool.submit(sleep_until_served) for _ in range(2)]
        wait_until(lambda: service.api.get("/faults/sleep/0").status_code == 503)
        assert service.probe("ready") == 200
        assert [future.result() for future in running] == [200, 200]


def test_body_beyond_the_limit_is_answered_413(start_service: StartService) -> None:
    service = start_service(SERVICE_MAX_BODY_BYTES=100)
    answer = service.api.post(PATH, content=b"x" * 101)
    assert answer.status_code == 413
    assert answer.json()["detail"] == "The request body is larger than 100 bytes."


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/nowhere", 404), ("DELETE", PATH, 405), ("GET", f"{PATH}/1", 422)],
)
def test_every_error_response_is_a_problem_with_the_request_id(
    service: Service, method: str, path: str, code: int
) -> None:
    answer = service.api.request(method, path)
    assert answer.status_code == code
    assert answer.headers["content-type"] == "application/problem+json"
    assert re.fullmatch("[0-9a-f]{32}", answer.json()["request_id"])


def test_invalid_request_id_is_replaced(service: Service) -> None:
    answer = service.api.get(PATH, headers={"x-request-id": 'x" level="error'})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_500_has_cors_headers_so_that_browsers_can_read_it(
    start_service: StartService,
) -> None:
    service = start_service(SERVICE_CORS_ORIGINS="https://a.example, https://b.example")
    answer = service.api.get("/faults/raise/ValueError", headers={"origin": "https://b.example"})
    assert answer.status_code == 500
    assert answer.headers["access-control-allow-origin"] == "https://b.example"


def test_each_request_is_logged_in_one_line(service: Service) -> None:
    service.api.get(f"{PATH}?secret=1", headers={"x-request-id": "me-2"})
    wait_until(lambda: service.records("request"))
    [record] = service.records("request")
    assert record["request_id"] == "me-2"
    assert (record["method"], record["path"], record["status"]) == ("GET", PATH, 200)
    assert "secret" not in str(record)


def test_blocked_event_loop_is_logged_with_its_stack(service: Service) -> None:
    with ThreadPoolExecutor() as pool:
        blocked = pool.submit(service.api.get, "/faults/block/3")
        wait_until(lambda: "block_the_loop" in service.log.read_text())
        assert not blocked.done()
        assert blocked.result().status_code == 200
    wait_until(lambda: service.records("the event loop was blocked"))
    [record] = service.records("the event loop was blocked")
    assert record["seconds"] >= 2


def test_clients_that_disconnect_leave_nothing_behind(service: Service) -> None:
    before = service.tasks()
    for _ in range(20):
        with pytest.raises(httpx.ReadTimeout):
            service.api.get("/faults/sleep/1", timeout=0.05)
    wait_until(lambda: service.tasks() <= before)
    started = time.monotonic()
    assert service.api.get(PATH).status_code == 200
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("path", [PATH, f"{PATH}/1", "/nowhere", "/faults/raise/ValueError"])
def test_head_is_answered_as_get_without_a_body(service: Service, path: str) -> None:
    with httpx.Client(base_url=service.url) as client:  # a body would be the next answer
        answers = [client.request(method, path) for method in ("GET", "HEAD", "HEAD", "GET")]
    assert len({answer.status_code for answer in answers}) == 1
    assert len({answer.headers["content-length"] for answer in answers}) == 1
    assert answers[1].content == b""
    wait_until(lambda: service.records("request"))
    wait_until(lambda: "HEAD" in {record["method"] for record in service.records("request")})


def test_head_beyond_the_request_timeout_is_answered_504_without_a_body(
    start_service: StartService,
) -> None:
    service = start_service(SERVICE_REQUEST_TIMEOUT=0.3)
    with httpx.Client(base_url=service.url) as client:
        assert client.head("/faults/sleep/60").status_code == 504
        assert client.get("/health/live").status_code == 200


def test_options_lists_the_methods_of_a_resource(service: Service) -> None:
    answer = service.api.options(PATH)
    assert (answer.status_code, answer.content) == (204, b"")
    assert {"GET", "HEAD", "OPTIONS"} <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_load_balancer_with_http_1_0_can_ask_a_probe(service: Service, method: str) -> None:
    with socket.create_connection(("127.0.0.1", service.port), 20) as client:
        client.sendall(f"{method} /health/ready HTTP/1.0\r\n\r\n".encode())
        received = b"".join(iter(lambda: client.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 200 ")
