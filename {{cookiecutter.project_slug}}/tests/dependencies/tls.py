"""Certificates made for a test, and a proxy that puts TLS before a server without it."""

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from reference_service.health import (
    Check,
    CheckFailed,
    CheckResult,
    Status,
    run_once,
)

from ..processes import eventually
from ..tools import tool

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch")
ACCEPT_TIMEOUT = 0.1
HANDSHAKE_TIMEOUT = 5.0


class Certificate(NamedTuple):
    """Files in PEM format."""

    cert: str
    key: str


class Fault(NamedTuple):
    """A certificate that is wrong, and the error of the check. trusted: by the client."""

    error: str
    host: str = "localhost"
    days: int = 30
    trusted: bool = True
    mutual: bool = False


class ClientFiles(NamedTuple):
    """What a client trusts, and its own certificate. A platform replaces the files."""

    ca: str
    cert: str
    key: str

    @classmethod
    def create(cls, folder: Path, authority: "Authority") -> Self:
        """Create the files, with certificates of an authority."""
        files = cls(*(str(folder / name) for name in ("ca.crt", "tls.crt", "tls.key")))
        files.renew(authority)
        return files

    def renew(self, authority: "Authority") -> None:
        """Replace the files, with certificates of another authority."""
        mine = authority.issue("client")
        for target, source in zip(self, (authority.cert, *mine), strict=True):
            new = Path(f"{target}.new")
            new.write_bytes(Path(source).read_bytes())
            new.replace(target)


FAULTS = [
    Fault("CertificateExpired", days=-1),
    Fault("CertificateHostMismatch", host="elsewhere"),
    Fault("CertificateUnknownAuthority", trusted=False),
    Fault("ClientCertificateRequired", mutual=True),
]


class Authority:
    """A certificate authority that no system trusts."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder, self._name = folder, name
        self.cert, self._key = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
        options = ("-days", "30", "-addext", "keyUsage=critical,keyCertSign")
        openssl("req", "-x509", *KEY, f"/CN={name}", self.cert, self._key, *options)

    def issue(self, host: str = "localhost", *, days: int = 30) -> Certificate:
        """Issue a certificate for a host. With negative days it has expired."""
        path = str(self._folder / f"{self._name}-{host}-{days}")
        request, cert, key = f"{path}.csr", f"{path}.pem", f"{path}.key"
        openssl("req", *KEY, f"/CN={host}", request, key)
        names = Path(f"{path}.names")
        # Python 3.13 and later require the key of the authority: RFC 5280, section 4.2.1.1.
        names.write_text(f"subjectAltName=DNS:{host}\nauthorityKeyIdentifier=keyid\n")
        signer = ("-CA", self.cert, "-CAkey", self._key, "-extfile", str(names))
        command = ("x509", "-req", "-in", request, *signer, "-days", str(days), "-out", cert)
        subprocess.run([tool("openssl"), *command], check=True, capture_output=True)
        return Certificate(cert, key)

    def issue_for(self, fault: Fault) -> tuple[Certificate, str, str]:
        """Return the server's certificate, the authority of its clients, and what they trust."""
        other = Authority(self._folder, "other")
        certificate = self.issue(fault.host, days=fault.days)
        return certificate, self.cert * fault.mutual, self.cert if fault.trusted else other.cert


def openssl(*arguments: str) -> None:
    """Create a certificate or a request: the subject, the file and the file of the key follow."""
    index = next(i for i, each in enumerate(arguments) if each.startswith("/CN="))
    subject, out, key = arguments[index : index + 3]
    rest = (*arguments[:index], "-subj", subject, "-out", out, "-keyout", key)
    command = [tool("openssl"), *rest, *arguments[index + 3 :]]
    subprocess.run(command, check=True, capture_output=True)


def server_context(certificate: Certificate, clients: str = "") -> ssl.SSLContext:
    """Return the context of a server. clients: the authority of the clients it accepts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if clients:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class TlsProxy:
    """Forwards connections to a port of 127.0.0.1.

    context: can change. None: without TLS.

    It uses threads: a server of asyncio closes a connection without the alert that says why.
    """

    def __init__(self, target: int, context: ssl.SSLContext | None) -> None:
        self.target, self.context = target, context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(ACCEPT_TIMEOUT)
        self.port: int = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._stopped = False

    @contextlib.contextmanager
    def serve(self) -> Iterator[Self]:
        """Accept connections until the end of the block."""
        self._start(self._accept)
        try:
            yield self
        finally:
            self._stopped = True
            self.disconnect()
            for thread in self._threads:
                thread.join()
            self._socket.close()

    def disconnect(self) -> None:
        """Close every connection."""
        self.close(*self._open)

    def _start(self, function: object, *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped:
            with contextlib.suppress(TimeoutError):
                self._start(self._serve, self._socket.accept()[0])

    def _serve(self, raw: socket.socket) -> None:
        self._open.add(raw)
        with contextlib.suppress(OSError), raw:
            raw.settimeout(HANDSHAKE_TIMEOUT)
            client = self.context.wrap_socket(raw, server_side=True) if self.context else raw
            self._open.add(client)
            with client, socket.create_connection(("127.0.0.1", self.target)) as server:
                self._open.add(server)
                if self.greet(client, server):
                    client.settimeout(None)
                    self._start(self._forward, server, client)
                    self._forward(client, server)

    def greet(self, client: socket.socket, server: socket.socket) -> bool:
        """Do what comes before the first request. Return whether to serve the client."""
        del client, server
        return True

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        self.close(source, target)

    def close(self, *sockets: socket.socket) -> None:
        """Close connections in both directions."""
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


async def until_error(check: Check, name: str) -> None:
    """Wait until an attempt fails with the error, which must be permanent.

    A busy machine can be too slow for the time of an attempt.
    """

    async def fails() -> bool:
        try:
            await run_once(check)
        except CheckFailed as error:
            return type(error).__name__ == name and error.permanent
        except Exception:
            return False
        return False

    await eventually(fails)


async def until_result(
    check: Check, status: Status = Status.PASS, *, certificates: int = 1
) -> CheckResult:
    """Wait for a result with the status, and with so many certificates in its data."""
    found: list[CheckResult] = []

    async def succeeds() -> bool:
        with contextlib.suppress(Exception):
            found[:] = [await run_once(check)]
        names = [name for result in found for name in result.data if name.endswith("_expires")]
        return bool(found) and found[0].status is status and len(names) == certificates

    await eventually(succeeds)
    return found[0]
