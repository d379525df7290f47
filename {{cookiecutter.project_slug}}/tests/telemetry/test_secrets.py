"""No output of the running service contains a part of a secret, whatever fails."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from dev.ports import free_port

from reference_service.app import create_service
from reference_service.environment import SettingsError
from reference_service.settings import read_settings

from ..conftest import StartService
from ..domain import PATH
from ..processes import Service, wait_until
from .secrets import PARTS, SECRET, URLS, find_secret, plant, secret_variables


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def move(variables: dict[str, str], port: int) -> dict[str, str]:
    """Return the variables with another port in each URL."""
    ports = {name: urlsplit(value).port for name, value in variables.items() if "://" in value}
    return {
        name: value.replace(f":{ports[name]}", f":{port}") if ports.get(name) else value
        for name, value in variables.items()
    }


ENCRYPTED: dict[str, str] = {}
ENCRYPTED[r"^postgresql(:.*)$"] = r"postgresql\1?sslmode=require"  # feature: postgres
ENCRYPTED[r"^redis:"] = "rediss:"  # feature: redis


def require_tls(variables: dict[str, str]) -> dict[str, str]:
    """Return the variables with URLs that require TLS, which the servers do not have."""
    for pattern, url in ENCRYPTED.items():
        variables = {name: re.sub(pattern, url, value) for name, value in variables.items()}
    return variables


def outputs(service: Service) -> str:
    """Fail in several ways, stop the service, and return everything that it has written."""
    answers = []
    for name in secret_variables():
        answers += [
            service.api.get(f"/faults/show/{name}", params={"reject": reject})
            for reject in (True, False)
        ]
    answers += [
        service.api.get(PATH),
        service.api.post(PATH, json={"name": SECRET * 100}),
        service.api.get("/health/ready", headers={"x-trace-health": "true"}),
        service.management.get("/health"),
        service.management.get("/health", headers={"accept": "text/html"}),
        service.management.get("/health/ready?verbose"),
        service.management.get("/metrics"),
    ]
    service.process.stop()
    return "\n".join(
        [*(f"{answer.headers} {answer.text}" for answer in answers), service.log.read_text()]
    )


@pytest.mark.parametrize("fault", ["wrong password", "refused", "silent", "without TLS"])
def test_failing_service_shows_no_secret(
    fault: str, start_service: StartService, environment: dict[str, str], silent_port: int
) -> None:
    planted = plant(environment)
    match fault:
        case "refused":
            planted = move(planted, free_port())
        case "silent":
            planted = move(planted, silent_port)
        case "without TLS":
            planted = require_tls(planted)
    service = start_service(**planted)
    wait_until(lambda: service.probe("startup") == 200)
    written = outputs(service)
    assert ("the server said: " in written) is bool(planted)
    assert find_secret(written) == []


FORMS = ("{scheme}://app:{raw}@{rest}", "{scheme}://{raw}@{rest}", "{scheme}://[{raw}")
CHARACTERS = "#/?%[]@: \\\"'\n\tü&=+"


def bad_values(value: str) -> Iterator[str]:
    """Yield values that hold the parts of the secret with a character between them."""
    scheme, is_url, rest = value.partition("://")
    rest = rest.rpartition("@")[2]
    for character in CHARACTERS:
        raw = character.join(PARTS)
        yield raw
        if is_url:
            yield from (form.format(scheme=scheme, raw=raw, rest=rest) for form in FORMS)


def test_value_is_used_or_rejected_without_a_part_of_it(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = plant(environment)
    for name, value in {**environment, **good}.items():
        monkeypatch.setenv(name, value)
    for name in secret_variables():
        value = good[name]
        for bad in bad_values(value):
            monkeypatch.setenv(name, bad)
            sentences = []
            try:
                create_service(read_settings())
            except SettingsError as error:
                sentences = error.errors
            assert [sentence.partition(":")[0] for sentence in sentences] in ([], [name])
            assert find_secret("".join(sentences)) == []
        monkeypatch.setenv(name, value)


@pytest.mark.skipif(not URLS, reason="no setting is a URL")
def test_bad_start_is_one_sentence_and_status_2(environment: dict[str, str]) -> None:
    good = plant(environment)
    bad = {name: value.replace("zwerg", "zwerg#") for name, value in good.items() if "://" in value}
    command = [sys.executable, "-m", "reference_service"]
    variables = {**os.environ, **environment, **good, **bad}
    ended = subprocess.run(
        command, env=variables, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 2
    assert [line.partition(":")[0] for line in ended.stderr.splitlines()] == sorted(bad)
    assert find_secret(ended.stdout + ended.stderr) == []


UNCAUGHT = """
import threading
from reference_service.redaction import hide
from reference_service.telemetry import configure_logging

class Discarded:
    def __del__(self):
        raise ValueError("zwergNASE7rbis")

configure_logging(json_lines=True, level="INFO")
hide("zwergNASE7rbis")
thread = threading.Thread(target=int, args=["zwergNASE7rbis"])
thread.start()
thread.join()
Discarded()
raise RuntimeError("zwergNASE7rbis")
"""


def test_errors_that_nothing_catches_show_no_secret() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", UNCAUGHT], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert ended.stdout.count("***") == 3
    assert find_secret(ended.stdout + ended.stderr) == []
