"""A client that still sends a body when it is refused reads the answer, directly and by nginx."""

import contextlib
import os
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.ports import free_port
from dev.process import Process

from ..conftest import StartService
from ..domain import PATH
from ..processes import Service, wait_until
from ..tools import tool

SIZE = 50_000_000  # bytes
TRIES = 12
CONFIGURATION = """
{user}
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream service {{
        server 127.0.0.1:{service};
        {upstream}
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 100m;
        location / {{
            proxy_pass http://service;
            proxy_http_version {version};
            proxy_set_header Connection "";
            proxy_request_buffering {buffering};
        }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(
    service: Service, folder: Path, *, buffering: str, upstream: str, version: str = "1.1"
) -> Iterator[int]:
    """Run nginx in front of a service, and return its port."""
    port = free_port()
    file = folder / "nginx.conf"
    user = "" if os.geteuid() else "user root;"  # otherwise it cannot write its own files
    values = {"user": user, "folder": folder, "service": service.port, "port": port}
    file.write_text(
        CONFIGURATION.format(**values, buffering=buffering, upstream=upstream, version=version)
    )
    with (folder / "nginx.log").open("wb") as output:
        process = Process(
            [
                tool("nginx", package="nginx-light"),
                "-e",
                str(folder / "error.log"),
                "-c",
                str(file),
            ],
            output=output,
            environment={},
        )
    try:
        wait_until(lambda: is_open(port))
        yield port
    finally:
        process.stop()


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def status_of(port: int, framing: bytes, parts: list[bytes], path: str = PATH) -> str:
    """Send a whole body, as a client that reads nothing before; return its answer's status.

    The status is the name of the error if the connection broke.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(
            b"POST %b HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n%b\r\n\r\n"
            % (path.encode(), framing)
        )
        try:
            for part in parts:
                client.sendall(part)
            return client.recv(65536).split()[1].decode()
        except (ConnectionError, IndexError) as error:
            return type(error).__name__


PART = b" " * 1_000_000
DECLARED = b"content-length: %d" % SIZE, [PART] * 50
CHUNKED = (
    b"transfer-encoding: chunked",
    [b"%x\r\n%b\r\n" % (len(PART), PART)] * 50 + [b"0\r\n\r\n"],
)


@pytest.mark.parametrize(("framing", "parts"), [DECLARED, CHUNKED], ids=["declared", "chunked"])
def test_client_that_sends_all_of_it_reads_413(
    service: Service, framing: bytes, parts: list[bytes]
) -> None:
    answers = Counter(status_of(service.port, framing, parts) for _ in range(TRIES))
    assert answers == {"413": TRIES}


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("upstream", ["", "keepalive 8;"])
@pytest.mark.parametrize(("framing", "parts"), [DECLARED, CHUNKED], ids=["declared", "chunked"])
def test_client_of_nginx_reads_413(  # noqa: PLR0913, PLR0917 - what nginx can do
    service: Service,
    tmp_path: Path,
    buffering: str,
    upstream: str,
    framing: bytes,
    parts: list[bytes],
) -> None:
    with nginx(service, tmp_path, buffering=buffering, upstream=upstream) as port:
        answers = Counter(status_of(port, framing, parts) for _ in range(TRIES))
    assert answers == {"413": TRIES}


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_client_of_nginx_reads_404(
    start_service: StartService, tmp_path: Path, version: str
) -> None:
    service = start_service(SERVICE_MAX_BODY_BYTES=2 * SIZE)
    options = {"buffering": "off", "upstream": "", "version": version}
    with nginx(service, tmp_path, **options) as port:
        answers = Counter(status_of(port, *DECLARED, path="/nothing") for _ in range(TRIES))
    assert answers == {"404": TRIES}


def test_client_that_closes_afterwards_reads_404(start_service: StartService) -> None:
    service = start_service(SERVICE_MAX_BODY_BYTES=2 * SIZE)
    framing, parts = DECLARED
    framing += b"\r\nconnection: close"
    answers = Counter(
        status_of(service.port, framing, parts, path="/nothing") for _ in range(TRIES)
    )
    assert answers == {"404": TRIES}
