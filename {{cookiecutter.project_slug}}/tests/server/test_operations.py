"""Switches without a deployment: what they do to probes and clients, and who may use them."""

import httpx
import pytest

from ..conftest import StartService
from ..domain import NEW, PATH
from ..processes import Service, wait_until

TOKEN = "hunter-of-switches"
HEADERS = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def service(start_service: StartService) -> Service:
    running = start_service(SERVICE_OPERATIONS_TOKEN=TOKEN)
    running.until_ready()
    return running


def change(
    service: Service, method: str, name: str, body: object = None, code: int = 200
) -> httpx.Response:
    response = service.management.request(method, f"/operations/{name}", json=body, headers=HEADERS)
    assert response.status_code == code, response.text
    return response


def test_maintenance_takes_the_service_out_of_rotation_and_requests_succeed(
    service: Service,
) -> None:
    state = change(service, "PUT", "maintenance", {"reason": "disk is replaced"}).json()
    assert state == {"maintenance": "disk is replaced", "read-only": None, "log-level": "INFO"}
    service.until_ready(503)
    assert service.probe("live") == 200
    assert service.api.get(PATH).status_code == 200
    report = service.check("maintenance")
    assert (report["error"], report["output"]) == ("SwitchedOn", "disk is replaced")
    metrics = service.management.get("/metrics").text  # feature: observability
    assert 'check="maintenance"' in metrics  # feature: observability
    change(service, "DELETE", "maintenance")
    service.until_ready()
    assert [each["reason"] for each in service.records("switched on")] == ["disk is replaced"]
    assert service.records("switched off")


def test_read_only_mode_rejects_changes_and_warns(service: Service) -> None:
    change(service, "PUT", "read-only", {"reason": "the database moves"})
    rejected = service.api.post(PATH, json=NEW)
    assert (rejected.status_code, rejected.headers["retry-after"]) == (503, "30")
    assert rejected.json()["detail"] == "The service is read-only at the moment; try again later."
    assert "database moves" not in rejected.text
    assert service.api.get(PATH).status_code == 200
    assert service.api.head(PATH).status_code == 200
    service.until_status("warn")
    assert 'reason="read_only"' in service.management.get("/metrics").text  # feature: observability
    change(service, "DELETE", "read-only")
    assert service.api.post(PATH, json=NEW).status_code == 201
    service.until_status("pass")


def test_log_level_changes_and_returns(service: Service) -> None:
    assert change(service, "PUT", "log-level", {"level": "ERROR"}).json()["log-level"] == "ERROR"
    assert service.records("log level changed")
    service.api.get(f"{PATH}?after=silent")
    change(service, "DELETE", "log-level")
    service.api.get(f"{PATH}?after=loud")
    wait_until(lambda: len(service.records("request")) >= 1)
    assert [each["level"] for each in service.records("log level changed")] == ["warning"] * 2


def test_stacks_name_the_tasks_and_the_profile_names_functions(service: Service) -> None:
    tasks = service.management.get("/operations/tasks", headers=HEADERS).text
    assert "health supervisor" in tasks
    profile = service.management.get("/operations/profile?seconds=1", headers=HEADERS).text
    stack, _, count = profile.splitlines()[0].rpartition(" ")
    assert ";" in stack
    assert int(count) > 0


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("PUT", "maintenance", None, 422),
        ("PUT", "maintenance", {"reason": " "}, 422),
        ("PUT", "maintenance", ["reason"], 422),
        ("PUT", "log-level", {"level": "LOUD"}, 422),
        ("GET", "profile?seconds=0", None, 422),
        ("GET", "profile?seconds=61", None, 422),
        ("POST", "maintenance", {"reason": "x"}, 405),
        ("PUT", "coffee", {"reason": "x"}, 405),
    ],
)
def test_invalid_request_changes_nothing_and_says_why(
    service: Service, method: str, path: str, body: object, code: int
) -> None:
    problem = change(service, method, path, body, code).json()
    assert problem["status"] == code
    assert problem["detail"]
    state = service.management.get("/operations", headers=HEADERS).json()
    assert state == {"maintenance": None, "read-only": None, "log-level": "INFO"}


@pytest.mark.parametrize("header", ["", "Bearer wrong", TOKEN, f"Basic {TOKEN}", f"bearer{TOKEN}"])
def test_nothing_happens_without_the_token(service: Service, header: str) -> None:
    for method, path in (
        ("GET", "/operations"),
        ("PUT", "/operations/maintenance"),
        ("GET", "/operations/tasks"),
    ):
        response = service.management.request(
            method, path, json={"reason": "x"}, headers={"authorization": header}
        )
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert service.check("maintenance")["status"] == "pass"
    assert service.probe("ready") == 200


def test_token_is_shown_nowhere_and_the_service_port_has_no_switches(service: Service) -> None:
    change(service, "PUT", "maintenance", {"reason": f"the token is {TOKEN}"})
    service.until_ready(503)
    assert TOKEN not in service.management.get("/health").text
    assert service.api.get("/operations", headers=HEADERS).status_code == 404
    assert service.records("switched on")
    assert TOKEN not in service.log.read_text()


def test_there_are_no_switches_without_a_token(start_service: StartService) -> None:
    service = start_service()
    service.until_ready()
    assert service.management.get("/operations", headers=HEADERS).status_code == 404
    assert "maintenance" not in service.management.get("/health").json()["checks"]
