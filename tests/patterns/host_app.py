"""Small applications of somebody else, with routes that misbehave, under a real server."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple, Self

from project import TEMPLATE

from .recipe import ENVIRONMENT, reader

GUARD = [
    *(sys.executable, "-I", "-S", str(TEMPLATE / "dev" / "supervisor.py")),
    *(str(int(signal.SIGTERM)), "30"),
]
"""Ends what it runs when we let go of its input, however we end."""

FASTAPI = """
from fastapi import FastAPI, Request

app = FastAPI()


@app.get("/")
async def hello() -> str:
    return "hello"


@app.get("/raise")
async def raise_several() -> None:
    raise ExceptionGroup("secret", [ValueError("secret")])


@app.get("/exit")
async def leave() -> None:
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


async def raise_several(request):
    raise ExceptionGroup("secret", [ValueError("secret")])


async def leave(request):
    raise SystemExit("secret")


async def hang(request):
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def size(request):
    return PlainTextResponse(str(len(await request.body())))


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/raise", raise_several),
        Route("/exit", leave),
        Route("/hang", hang),
        Route("/size", size, methods=["POST"]),
    ]
)
"""


class Answer(NamedTuple):
    """What a server has answered; `headers` by their names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The body, which has to be application/problem+json and tell no secret."""
        assert self.headers["content-type"] == "application/problem+json"
        assert b"secret" not in self.body
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["status"] == self.status
        return problem


class Server:
    """An application under a real server, started in its project's folder; it ends with us."""

    def __init__(self, project: Path, command: list[str], variables: Mapping[str, str]) -> None:
        self.project = project
        self._log = project / "served.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*GUARD, str(ENVIRONMENT / "python"), *command],
                cwd=project,
                env={**reader(), **variables},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        self.port = 0

    def __enter__(self) -> Self:
        try:
            until(self._listens)
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()
        self._process.wait()

    def _listens(self) -> bool:
        log = self._log.read_text("utf-8")
        assert self._process.poll() is None, log
        told = re.search(r"running on http://127\.0\.0\.1:(\d+)", log)
        self.port = int(told[1]) if told else 0
        return bool(told)

    def terminate(self) -> None:
        """Send SIGTERM; `status` tells when it has ended, and how."""
        assert self._process.stdin
        self._process.stdin.close()

    def status(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._process.poll()

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer to a request of its own connection."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, told, answer.read())
        finally:
            connection.close()

    def ready(self) -> int:
        """Return what `/health/ready` answers."""
        return self.ask("/health/ready").status


def until(condition: Callable[[], object], within: float = 30.0) -> float:
    """Wait for a condition, and return the seconds that it took."""
    begun = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - begun
        except (OSError, HTTPException):
            pass  # nobody listens, or it is going
        assert time.monotonic() - begun < within, "waited in vain"
        time.sleep(0.05)


class Dependency:
    """A server that a check asks: `postgres` or `valkey`, with its data in a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        script = Path(__file__).with_name("servers.py")
        self._process = subprocess.Popen(
            [str(ENVIRONMENT / "python"), str(script), name, str(folder)],
            env=reader() | {"PYTHONPATH": str(TEMPLATE)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._told()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def do(self, deed: str) -> None:
        """`pause` it, or let it `resume`."""
        assert self._process.stdin
        self._process.stdin.write(f"{deed}\n")
        self._process.stdin.flush()
        assert self._told() == deed

    def _told(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


def served(project: Path, module: str, variables: Mapping[str, str]) -> Server:
    """Serve a project: an application, as `main:app`, by uvicorn's command; a module by itself."""
    own = ["-m", module] if ":" not in module else ["-m", "uvicorn", module, "--port", "0"]
    return Server(project, own, {"PORT": "0", **variables})
