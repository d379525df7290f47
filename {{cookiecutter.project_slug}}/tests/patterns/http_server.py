"""Another service: Python's own HTTP server, which responds as a test wants it to."""

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from ..tools import tool

READY = "/health/ready"


@dataclass(frozen=True)
class Response:
    """A response of the server. `length`: the announced length, if it is not that of the body."""

    status: int = 200
    content_type: str = "application/json"
    body: bytes = b'{"price": "12.50"}'
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


class Service:
    """An HTTP server on a free port, with a readiness endpoint; every other path is its work.

    certificate: a file with a certificate and its key. None: without TLS.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.ready, self.work = Response(), Response()
        self.connections: list[socket.socket] = []  # all that were ever opened
        self.respond = threading.Event()  # cleared: requests hang
        self.respond.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._tls: ssl.SSLContext | None = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.use(certificate)
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02])

    def use(self, certificate: Path) -> None:
        """Present another certificate to new connections."""
        assert self._tls
        self._tls.load_cert_chain(certificate)

    def stop(self) -> None:
        """Close the port and every connection."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            for connection in self.connections:
                with contextlib.suppress(OSError):  # it is closed
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.respond.set()
        self.stop()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def setup(self) -> None:
                super().setup()
                service.connections.append(self.connection)

            def do_GET(self) -> None:
                response = service.ready if self.path == READY else service.work
                if not service.respond.wait(timeout=10):
                    return
                self.send_response(response.status)
                self.send_header("content-type", response.content_type)
                length = len(response.body) if response.length is None else response.length
                self.send_header("content-length", str(length))
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(response.body)
                self.close_connection |= length != len(response.body)

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        return Handler


def create_certificate(folder: Path, days: int, host: str = "127.0.0.1") -> Path:
    """Create a certificate that signs itself and expires in some days; return it with its key."""
    file, key, request = (folder / f"{host}{days}.{kind}" for kind in ("pem", "key", "csr"))
    openssl = tool("openssl")
    new_key = f"-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN={file.stem}"
    for command in (
        f"req {new_key} -keyout {key} -out {request} -addext subjectAltName=IP:{host}",
        f"x509 -req -in {request} -signkey {key} -days {days} -copy_extensions copy -out {file}",
    ):
        subprocess.run([openssl, *command.split()], check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + key.read_bytes())
    return file
