"""A proxy that puts TLS and a log-in before a Kafka broker that has neither.

The mock brokers of `dev.kafka` support no SASL, so the proxy is the server of RFC 4616 (PLAIN) and
of RFC 5802 (SCRAM), in the requests of Kafka: see https://kafka.apache.org/protocol.
"""

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
from collections.abc import Generator

from .tls import TlsProxy

API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
AUTHENTICATION_FAILED, UNSUPPORTED_MECHANISM = 58, 33
ITERATIONS = 4096
Steps = Generator[tuple[bytes | None, bool], bytes, None]
"""Receives what the client sends, and yields the answer, or None to reject it, and "logged in"."""

HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


class KafkaProxy(TlsProxy):
    """Forwards the connections of clients that have logged in as `service`.

    mechanism: empty: without a log-in.
    """

    def __init__(
        self, target: int, context: ssl.SSLContext | None, mechanism: str, password: str
    ) -> None:
        super().__init__(target, context)
        self._mechanism, self._user, self._password = mechanism, "service", password

    def greet(self, client: socket.socket, server: socket.socket) -> bool:
        """Answer the requests of a log-in. Return whether it succeeded."""
        if not self._mechanism:
            return True
        steps = self._plain() if self._mechanism == "PLAIN" else self._scram()
        next(steps)
        while True:
            request = receive(client)
            key, _, correlation = struct.unpack(">hhi", request[:8])
            (length,) = struct.unpack(">h", request[8:10])
            body = request[10 + max(length, 0) :]
            if key == API_VERSIONS:
                send(client, add_sasl(exchange(server, request)))
                continue
            error, answer = 0, b""
            done = False
            if key == SASL_HANDSHAKE:
                asked = body[2:].decode()
                error = 0 if asked == self._mechanism else UNSUPPORTED_MECHANISM
                answer = struct.pack(">ih", 1, len(self._mechanism)) + self._mechanism.encode()
            else:
                assert key == SASL_AUTHENTICATE
                result, done = steps.send(body[4:])
                error = 0 if result is not None else AUTHENTICATION_FAILED
                data = result or b""
                message = b"" if not error else b"rejected " + body[4:]  # some servers repeat it
                answer = struct.pack(">h", len(message)) + message
                answer += struct.pack(">i", len(data)) + data
            send(client, struct.pack(">ih", correlation, error) + answer)
            if done or error:
                return not error

    def _plain(self) -> Steps:
        message = yield b"", False
        _, *given = message.decode().split("\0")  # for whom to act, which may be empty
        ok = given == [self._user, self._password]
        yield (b"" if ok else None), ok

    def _scram(self) -> Steps:
        name = HASHES[self._mechanism]
        first = (yield b"", False).decode().removeprefix("n,,")
        fields = dict(part.split("=", 1) for part in first.split(","))
        salt, nonce = secrets.token_bytes(16), fields["r"] + secrets.token_hex(8)
        reply = f"r={nonce},s={base64.b64encode(salt).decode()},i={ITERATIONS}"
        final = (yield reply.encode(), False).decode()
        without_proof, _, proof = final.rpartition(",p=")
        salted = hashlib.pbkdf2_hmac(name, self._password.encode(), salt, ITERATIONS)
        message = f"{first},{reply},{without_proof}".encode()
        client_key = hmac.digest(salted, b"Client Key", name)
        signature = hmac.digest(hashlib.new(name, client_key).digest(), message, name)
        expected = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        ok = fields["n"] == self._user and base64.b64decode(proof) == expected
        verifier = hmac.digest(hmac.digest(salted, b"Server Key", name), message, name)
        yield (b"v=" + base64.b64encode(verifier) if ok else None), ok


def receive(source: socket.socket) -> bytes:
    """Receive a message, without its size."""
    (size,) = struct.unpack(">i", receive_exactly(source, 4))
    return receive_exactly(source, size)


def receive_exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (part := source.recv(size - len(data))):
            raise ConnectionError
        data += part
    return data


def send(target: socket.socket, message: bytes) -> None:
    target.sendall(struct.pack(">i", len(message)) + message)


def exchange(server: socket.socket, request: bytes) -> bytes:
    send(server, request)
    return receive(server)


def add_sasl(response: bytes) -> bytes:
    """Add the requests of SASL to those that the broker supports (ApiVersions, version 0)."""
    head, count, known = response[:6], *struct.unpack(">i", response[6:10]), response[10:]
    versions = [known[n : n + 6] for n in range(0, len(known), 6)]
    known = b"".join(v for v in versions if v[:2] not in (b"\x00\x11", b"\x00\x24"))
    count = len(known) // 6 + 2
    added = struct.pack(">hhhhhh", SASL_HANDSHAKE, 0, 1, SASL_AUTHENTICATE, 0, 0)
    return head + struct.pack(">i", count) + known + added
