"""`make audit` finds secrets and known vulnerabilities, and writes a bill of materials."""

import http.server
import json
import shutil
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from project import generate_in

from pipeline.repository import TOOLS, Run, commit, equip, run, secret
from tools.generate import ROOT

VULNERABILITY = {
    "id": "GHSA-test-test-test",
    "modified": "2026-11-01T00:00:00Z",
    "summary": "A known vulnerability",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate and lock one service for all tests."""
    service = generate_in(tmp_path_factory.mktemp("made"))
    equip(service)
    return service


@pytest.fixture
def service(made: Path, tmp_path: Path) -> Path:
    """Return a copy of the service in a new repository."""
    service = tmp_path / "service"
    shutil.copytree(made, service, symlinks=True)
    commit(service)
    return service


class Vulnerabilities(http.server.ThreadingHTTPServer):
    """A fake of the OSV API: it reports a vulnerability for each package in `known`."""

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.known = known
        self.requested: set[str] = set()

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.server_port}"


class Answer(http.server.BaseHTTPRequestHandler):
    """One request to the API that https://google.github.io/osv.dev/api/ describes."""

    server: Vulnerabilities

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        names = [query["package"]["name"] for query in queries]
        self.server.requested.update(names)
        summary = {"id": VULNERABILITY["id"], "modified": VULNERABILITY["modified"]}
        self.respond(
            {
                "results": [
                    {"vulns": [summary]} if name in self.server.known else {} for name in names
                ]
            }
        )

    def do_GET(self) -> None:
        self.respond(VULNERABILITY)

    def respond(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def vulnerabilities(request: pytest.FixtureRequest) -> Iterator[Vulnerabilities]:
    """Run the fake with the vulnerable packages of the test."""
    with Vulnerabilities(getattr(request, "param", ())) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def audit(service: Path, url: str, more: str = "") -> Run:
    """Run the target with this address of the OSV API, without retries."""
    return run(
        "make", "audit", f"ARGS=--service-url={url} {more}", cwd=service, UV_HTTP_RETRIES="0"
    )


def test_new_service_passes_and_all_locked_packages_are_requested(
    service: Path, vulnerabilities: Vulnerabilities
) -> None:
    ended = audit(service, vulnerabilities.url)
    assert ended.returncode == 0, ended.stdout
    assert vulnerabilities.requested == set(locked(service))


@pytest.mark.parametrize("vulnerabilities", [("starlette",)], indirect=True)
def test_known_vulnerability_fails_until_it_is_ignored(
    service: Path, vulnerabilities: Vulnerabilities
) -> None:
    ended = audit(service, vulnerabilities.url)
    assert ended.returncode != 0
    assert "starlette" in ended.stdout
    assert VULNERABILITY["id"] in ended.stdout
    accepted = audit(service, vulnerabilities.url, f"--ignore {VULNERABILITY['id']}")
    assert accepted.returncode == 0, accepted.stdout


def test_audit_fails_when_the_osv_api_is_unreachable(service: Path) -> None:
    ended = audit(service, "http://127.0.0.1:9")
    assert ended.returncode != 0
    assert "error sending request" in ended.stdout


def test_bill_of_materials_lists_exactly_the_deployed_packages(service: Path) -> None:
    audit(service, "http://127.0.0.1:9")
    bill = json.loads((service / "dist" / "sbom.json").read_text("utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    listed = {each["name"]: each["version"] for each in bill["components"]}
    assert listed == {name: locked(service)[name] for name in deployed(service)}


def locked(service: Path) -> dict[str, str]:
    """Return the packages of uv.lock with their versions."""
    return {
        each["name"]: each["version"] for each in packages(service) if "registry" in each["source"]
    }


def deployed(service: Path) -> set[str]:
    """Return the packages that the service requires, on every platform, from uv.lock."""
    named = {each["name"]: each for each in packages(service)}
    (root,) = (each for each in named.values() if "registry" not in each["source"])
    found: set[str] = set()
    left = list(root["dependencies"])
    while left:
        needed = left.pop()
        package = named[needed["name"]]
        extras = [package["optional-dependencies"][name] for name in needed.get("extra", [])]
        if needed["name"] not in found or extras:
            found.add(needed["name"])
            left += package.get("dependencies", [])
            left += [each for extra in extras for each in extra]
    return found


def packages(service: Path) -> list[dict[str, Any]]:
    """Read uv.lock."""
    found: list[dict[str, Any]] = tomllib.loads((service / "uv.lock").read_text("utf-8"))["package"]
    return found


def test_secret_fails_and_is_not_printed(service: Path) -> None:
    (service / "src" / "token.py").write_text(f'TOKEN = "{secret()}"\n')
    ended = audit(service, "http://127.0.0.1:9")
    assert ended.returncode != 0
    assert "src/token.py" in ended.stdout
    assert secret() not in ended.stdout
    assert not (service / "dist").exists()


def test_deleted_secret_is_found_in_the_history(service: Path) -> None:
    """Everyone who clones the repository can read its history."""
    file = service / "token.txt"
    file.write_text(f"token = {secret()}\n")
    commit(service, "Add a secret")
    file.unlink()
    commit(service, "Delete it")
    ended = audit(service, "http://127.0.0.1:9")
    assert ended.returncode != 0
    assert "token.txt" in ended.stdout


def test_build_artifacts_are_not_scanned(service: Path, vulnerabilities: Vulnerabilities) -> None:
    for folder in (".data", ".uv", ".venv"):
        (service / folder).mkdir(exist_ok=True)
        (service / folder / "token.txt").write_text(f"token = {secret()}\n")
    assert audit(service, vulnerabilities.url).returncode == 0


def test_this_repository_and_its_history_contain_no_secret() -> None:
    ended = run(
        TOOLS / "kingfisher",
        "scan",
        "--no-validate",
        "--no-update-check",
        "--redact",
        "--quiet",
        "--exclude=.build",
        ".",
        cwd=ROOT,
    )
    assert ended.returncode == 0, ended.stdout
