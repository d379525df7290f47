"""The number of open WebSockets is bounded, on a real server."""

from ..conftest import StartService
from ..processes import wait_until
from .test_websockets import ECHO, close_code, logged, metric, open_websocket, rejection


def test_handshake_beyond_the_limit_is_answered_503_until_one_closes(
    start_service: StartService,
) -> None:
    service = start_service(SERVICE_MAX_WEBSOCKETS=2)
    service.until_ready()
    with open_websocket(service, ECHO) as first, open_websocket(service, ECHO) as second:
        status, problem, _ = rejection(service, ECHO)
        assert (status, problem["detail"]) == (503, "The service has too many open WebSockets.")
        assert service.api.get("/faults/tasks").status_code == 200  # requests have their own limit
        line = 'http_requests_rejected_total{reason="websocket_limit"'
        assert metric(service, line) == 1
        assert logged(service, "requests rejected")["reasons"] == {"websocket_limit": 1}
        first.close()
        wait_until(lambda: metric(service, "websocket_connections_open") == 1)
        with open_websocket(service, ECHO) as third:
            third.send("hello")
            assert third.recv(timeout=20) == "hello"
        second.send("hello")
        assert second.recv(timeout=20) == "hello"


def test_handshake_that_fails_frees_its_place(start_service: StartService) -> None:
    service = start_service(SERVICE_MAX_WEBSOCKETS=1, SERVICE_REQUEST_TIMEOUT=1)
    service.until_ready()
    for _ in range(2):
        assert rejection(service, "/faults/ws/before/hang")[0] == 504
    with open_websocket(service, "/faults/ws/push") as websocket:
        assert websocket.recv(timeout=20) == "tick"
        assert rejection(service, ECHO)[0] == 503
    assert close_code(websocket) == 1000
