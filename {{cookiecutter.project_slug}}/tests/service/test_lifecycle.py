"""Start-up, settings, drain and exit of a real process."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from ..conftest import StartService
from ..domain import NEW, PATH
from ..processes import Service, wait_until


def run_service(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the service until it exits, with only these variables in its environment."""
    return subprocess.run(
        [sys.executable, "-m", "reference_service", *arguments],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_service_port_answers_probes_and_shows_no_details(service: Service) -> None:
    for probe in ("startup", "ready", "live"):
        answer = service.api.get(f"/health/{probe}")
        assert (answer.status_code, answer.text) == (200, '{"status": "pass"}')
        assert answer.headers["content-type"] == "application/health+json"
        assert answer.headers["cache-control"] == "no-store"
        assert service.api.head(f"/health/{probe}").status_code == 200
    assert service.api.get("/health").status_code == 404
    assert service.management.get("/health").status_code == 200


class SlowRequest(threading.Thread):
    """A request that takes `seconds`, because its body takes as long to arrive."""

    def __init__(self, service: Service, seconds: float) -> None:
        super().__init__()
        self.answer = b""
        self._body = json.dumps(NEW).encode()
        self._seconds = seconds
        self._socket = socket.create_connection(("127.0.0.1", service.port))
        self._socket.sendall(
            b"POST %s HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % (PATH.encode(), len(self._body))
        )
        self.start()

    def run(self) -> None:
        with self._socket as connection, contextlib.suppress(ConnectionError):
            time.sleep(self._seconds)
            connection.sendall(self._body)
            while part := connection.recv(65536):
                self.answer += part


def test_drain_turns_ready_503_at_once_and_loses_no_request(start_service: StartService) -> None:
    service = start_service(SERVICE_DRAIN_DELAY=2, SERVICE_IO_TIMEOUT=20)
    service.until_ready()
    slow = SlowRequest(service, seconds=4)
    wait_until(lambda: service.api.get("/faults/tasks").status_code == 200)
    service.signal(signal.SIGTERM)
    service.until_ready(503, within=1)
    assert service.probe("live") == 200
    answer = service.api.get(PATH, headers={"connection": "keep-alive"})
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    slow.join(20)
    assert slow.answer.startswith(b"HTTP/1.1 201 ")
    assert service.ends_with() == 0
    assert service.records("stopped")


def test_request_beyond_the_shutdown_timeout_is_cut_and_exit_status_is_0(
    start_service: StartService,
) -> None:
    service = start_service(SERVICE_SHUTDOWN_TIMEOUT=1)
    service.until_ready()
    slow = SlowRequest(service, seconds=8)
    wait_until(lambda: service.probe("live") == 200)
    started = time.monotonic()
    service.signal(signal.SIGTERM)
    assert service.ends_with() == 0
    assert time.monotonic() - started < 6
    slow.join(20)
    assert not slow.answer.startswith(b"HTTP/1.1 201 ")


def test_second_signal_ends_the_process_at_once(start_service: StartService) -> None:
    service = start_service(SERVICE_DRAIN_DELAY=60)
    service.until_ready()
    service.signal(signal.SIGTERM)
    service.until_ready(503)
    service.signal(signal.SIGTERM)
    assert service.ends_with(within=5) == 128 + signal.SIGTERM


def test_invalid_settings_exit_2_with_one_line_per_error(environment: dict[str, str]) -> None:
    limits = {"SERVICE_CONCURRENCY_LIMIT": "many", "HEALTH_CHECK_TIMEOUT": "-1"}
    done = run_service(**environment, SERVICE_PORT="http", **limits)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        (
            "SERVICE_PORT: Input should be a valid integer, unable to parse string as an integer "
            "(it is 'http'). Port of the API and the probes."
        ),
        (
            "SERVICE_CONCURRENCY_LIMIT: Input should be a valid integer, unable to parse string as "
            "an integer (it is 'many'). Maximum requests in flight; more are answered 503. "
            "`auto` finds what meets the objective."
        ),
        (
            "HEALTH_CHECK_TIMEOUT: Input should be greater than 0 (it is '-1'). "
            "Maximum seconds of an attempt. A longer one is abandoned."
        ),
    ]


def test_occupied_port_exits_2_with_one_line(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_service(**environment, SERVICE_PORT=str(port))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"SERVICE_PORT: cannot listen on 127.0.0.1 port {port}: Address already in use"
    ]


def test_help_lists_every_variable_with_default_and_description(
    environment: dict[str, str],
) -> None:
    done = run_service("--help")
    assert done.returncode == 0
    for variable in ("SERVICE_PORT", "HEALTH_CHECK_TIMEOUT", "HEALTH_<CHECK>_IMPACT", *environment):
        assert f"  {variable} " in done.stdout
    assert "Port of the API and the probes. [8000]" in done.stdout


def test_misspelled_setting_is_logged(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])  # so that it ends
        done = run_service(
            **environment,
            SERVICE_PORT=port,
            SERVICE_DRAIN_DELY="1",
            HEALTH_SERVICE_HOST="10.0.0.1",  # as Kubernetes sets for a Service named "health"
        )
    assert "SERVICE_DRAIN_DELY is not a setting: did you mean SERVICE_DRAIN_DELAY?" in done.stdout
    assert "HEALTH_SERVICE_HOST" not in done.stdout


def test_impact_variable_changes_the_impact_of_a_check(start_service: StartService) -> None:
    service = start_service()
    checks = service.management.get("/health").json()["checks"]
    for name in checks:
        variable = f"HEALTH_{name.upper().replace('.', '_')}_IMPACT"
        changed = start_service(**{variable: "warn"})
        assert changed.check(name)["impact"] == "warn"
