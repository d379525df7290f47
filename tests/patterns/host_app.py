"""Small applications to copy patterns into, with routes that misbehave, under a real server."""

import json
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple, Self

from project import TEMPLATE
from supervised import SupervisedProcesses

from .pages import BIN, reader_environment

REQUEST_TIMEOUT = 20.0
DEPENDENCY_TIMEOUT = 120.0
"""Seconds for a server to start, to pause or to stop on a busy machine."""

FASTAPI = """
from fastapi import FastAPI, Request

app = FastAPI()


@app.get("/")
async def hello() -> str:
    return "hello"


@app.get("/raise")
async def raise_group() -> None:
    raise ExceptionGroup("secret", [ValueError("secret")])


@app.get("/exit")
async def exit_process() -> None:
    raise SystemExit("secret")


@app.get("/hang")
async def hang(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@app.post("/size")
async def size(request: Request) -> int:
    return len(await request.body())
"""

STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def hello(request):
    return PlainTextResponse("hello")


async def raise_group(request):
    raise ExceptionGroup("secret", [ValueError("secret")])


async def exit_process(request):
    raise SystemExit("secret")


async def hang(request):
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def size(request):
    return PlainTextResponse(str(len(await request.body())))


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/raise", raise_group),
        Route("/exit", exit_process),
        Route("/hang", hang),
        Route("/size", size, methods=["POST"]),
    ]
)
"""


class Response(NamedTuple):
    """A response. The names in `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The body, which must be application/problem+json and contain no secret."""
        assert self.headers["content-type"] == "application/problem+json"
        assert b"secret" not in self.body
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["status"] == self.status
        return problem


class Server:
    """Run an application under a real server in a `with` block, in the folder of its project."""

    def __init__(
        self,
        project: Path,
        command: list[str],
        variables: Mapping[str, str],
        python: Path = BIN / "python",
    ) -> None:
        self.project = project
        self.port = 0
        self._command = [str(python), *command]
        self._variables = {**reader_environment(), **variables}
        self._log = project / "server.log"
        self._processes = SupervisedProcesses(stop_signal=signal.SIGTERM)

    def __enter__(self) -> Self:
        self._processes.__enter__()
        try:
            with self._log.open("wb") as log:
                self._process = self._processes.start(
                    self._command, cwd=self.project, env=self._variables, stdout=log, stderr=log
                )
            wait_until(self._is_listening)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.__exit__()

    def _is_listening(self) -> bool:
        log = self._log.read_text("utf-8")
        assert self._process.poll() is None, log
        address = re.search(r"(?:running on|Listening at:) http://127\.0\.0\.1:(\d+)", log)
        self.port = int(address[1]) if address else 0
        return bool(address)

    def terminate(self) -> None:
        """Send SIGTERM, and do not wait."""
        self._processes.request_stop()

    def exit_status(self) -> int | None:
        """Return the exit status, or None while the process is running."""
        return self._process.poll()

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=REQUEST_TIMEOUT)

    def request(
        self,
        path: str,
        method: str = "GET",
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request on a new connection, and return the response."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_TIMEOUT)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, received, response.read())
        finally:
            connection.close()

    def ready(self) -> int:
        """Return the status code of `/health/ready`."""
        return self.request("/health/ready").status


def wait_until(condition: Callable[[], object], timeout: float = 30.0) -> None:
    """Wait until a condition holds. Connection errors count as false."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if condition():
                return
        except (OSError, HTTPException):
            pass  # the server is starting or stopping
        assert time.monotonic() < deadline, f"the condition did not hold within {timeout:g} s"
        time.sleep(0.05)


class Dependency:
    """A server that a check connects to, with its data in a folder. See dependency_server.py."""

    def __init__(self, name: str, folder: Path) -> None:
        script = Path(__file__).with_name("dependency_server.py")
        self._process = subprocess.Popen(
            [str(BIN / "python"), str(script), name, str(folder)],
            env=reader_environment() | {"PYTHONPATH": str(TEMPLATE)},
            stdin=subprocess.PIPE,  # the script ends with its input, so it ends with this process
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.url = self._read_line()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=DEPENDENCY_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def send(self, command: str) -> None:
        """Send `pause` or `resume`, and wait until it is done."""
        assert self._process.stdin
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        assert self._read_line() == command

    def _read_line(self) -> str:
        output = self._process.stdout
        assert output
        readable, _, _ = select.select([output], [], [], DEPENDENCY_TIMEOUT)
        assert readable, f"no output within {DEPENDENCY_TIMEOUT:g} s"
        return output.readline().strip()


def serve(project: Path, module: str, variables: Mapping[str, str]) -> Server:
    """Return a server for `package.module:app`, which uvicorn serves, or for a module to run."""
    command = ["-m", "uvicorn", module, "--port", "0"] if ":" in module else ["-m", module]
    return Server(project, command, {"PORT": "0", **variables})
