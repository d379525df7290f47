"""Slow, oversized and endless requests through real sockets."""

import asyncio
import contextlib
import errno
import json
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from ..conftest import StartService
from ..domain import PATH
from ..processes import Service, wait_until

IO_TIMEOUT, HEADER_TIMEOUT, KEEP_ALIVE_TIMEOUT = 2, 3, 5
GET = f"GET {PATH} HTTP/1.1\r\nhost: here\r\n\r\n".encode()
CHUNK = b"1000\r\n" + b"x" * 4096 + b"\r\n"
LATE = 20.0
"""Maximum seconds on a busy machine."""
ATTACK_TIMEOUT = 5.0
FLOOD = 400_000_000
"""Bytes: more than the service discards of a body that it has rejected."""


@pytest.fixture(scope="module")
def service(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One service for all tests: a disconnected client leaves nothing behind."""
    settings = {
        "SERVICE_HEADER_TIMEOUT": HEADER_TIMEOUT,
        "SERVICE_IO_TIMEOUT": IO_TIMEOUT,
        "SERVICE_KEEP_ALIVE_TIMEOUT": KEEP_ALIVE_TIMEOUT,
        "SERVICE_REQUEST_TIMEOUT": 30,
    }
    log = tmp_path_factory.mktemp("slow") / "service.log"
    with Service(environment, log, **settings) as service:
        service.until_ready()
        yield service


class Client:
    """A connection whose every byte the test controls."""

    def __init__(self, service: Service, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(LATE)
        self.socket.connect(("127.0.0.1", service.port))
        self.since = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes, pause: float = 0.0) -> None:
        for part in parts:
            self.socket.sendall(part)
            time.sleep(pause)

    def post(self, path: str, *fields: bytes, body: bytes = b"") -> None:
        lines = [b"POST %s HTTP/1.1" % path.encode(), b"host: here", *fields, b"", body]
        self.send(b"\r\n".join(lines))

    def answer(self) -> bytes:
        """Return what is received until the connection ends."""
        parts = []
        with contextlib.suppress(ConnectionError):
            while part := self.socket.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def seconds_until_disconnected(self, drip: bytes = b"", step: int = 1) -> float:
        """Send `drip` slowly, in steps; return the seconds until the connection ends."""
        sent = 0
        self.socket.settimeout(0.2)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - self.since < LATE:
                with contextlib.suppress(TimeoutError):
                    if not self.socket.recv(65536):
                        break
                    continue
                self.socket.sendall(drip[sent : sent + step])
                sent += step
        return time.monotonic() - self.since

    def is_reset(self) -> bool:
        """Return whether the connection was reset, without reading."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET

    def floods(self, part: bytes) -> bool:
        """Send `FLOOD` bytes without reading; return whether the connection ended before."""
        with contextlib.suppress(ConnectionError):
            for _ in range(FLOOD // len(part)):
                self.socket.sendall(part)
            return False
        return True


@pytest.mark.parametrize("drip", [b"", GET[:-2] + b"x: " + b"y" * 1000])
def test_incomplete_headers_are_disconnected_after_the_timeout(
    service: Service, drip: bytes
) -> None:
    with Client(service) as client:
        assert HEADER_TIMEOUT - 0.2 < client.seconds_until_disconnected(drip) < LATE


@pytest.mark.parametrize("drip", [GET.replace(b"here", b"x" * 1000)[:-4], b"\r\n" * 500])
def test_timeout_of_later_headers_starts_with_their_first_byte(
    service: Service, drip: bytes
) -> None:
    with Client(service) as client:
        client.send(GET)
        assert client.socket.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert HEADER_TIMEOUT - 0.2 < client.seconds_until_disconnected(drip) < LATE


def test_idle_connection_is_closed_after_the_keep_alive_timeout(service: Service) -> None:
    with Client(service) as client:
        client.send(GET, pause=HEADER_TIMEOUT + 0.5)
        client.send(GET)
        assert KEEP_ALIVE_TIMEOUT + HEADER_TIMEOUT < client.seconds_until_disconnected() < LATE
    late = service.records("disconnected slow client")
    assert "next request" not in {record["pending"] for record in late}


@pytest.mark.parametrize("drip", [b"", b"x" * 1000])
def test_stalled_body_is_disconnected(service: Service, drip: bytes) -> None:
    before = service.tasks()
    with Client(service) as client:
        client.post(PATH, b"content-type: application/json", b"content-length: 1000")
        assert IO_TIMEOUT - 0.2 < client.seconds_until_disconnected(drip) < LATE
        wait_until(lambda: service.tasks() <= before)


def test_slow_but_steady_body_is_read(service: Service) -> None:
    with Client(service) as client:
        client.post("/faults/read-after/0", b"content-length: 40960", b"connection: close")
        client.send(*[b"x" * 4096] * 10, pause=IO_TIMEOUT / 4)
        assert client.answer().endswith(b"\r\n\r\n40960")


def test_body_that_the_service_does_not_read_is_not_late(service: Service) -> None:
    path, size = f"/faults/read-after/{IO_TIMEOUT + 1}", 1_000_000
    with Client(service) as client:
        client.post(path, b"content-length: %d" % size, b"connection: close")
        client.send(b"x" * size)
        assert client.answer().endswith(b"\r\n\r\n%d" % size)
    with Client(service) as client:
        client.post(path, b"content-length: 3", b"connection: close", b"expect: 100-continue")
        assert client.socket.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"abc")
        assert client.answer().endswith(b"\r\n\r\n3")


def test_unread_body_is_disconnected_after_the_timeout(service: Service) -> None:
    with Client(service) as client:
        client.post("/nowhere", b"transfer-encoding: chunked")
        assert client.socket.recv(65536).startswith(b"HTTP/1.1 404 ")
        assert (
            IO_TIMEOUT - 0.2
            < client.seconds_until_disconnected(CHUNK * 1000, step=len(CHUNK))
            < LATE
        )


def test_body_that_stalls_beyond_the_request_timeout_is_answered_408(
    start_service: StartService,
) -> None:
    service = start_service(SERVICE_REQUEST_TIMEOUT=1, SERVICE_IO_TIMEOUT=IO_TIMEOUT)
    service.until_ready()
    with Client(service) as client:
        client.post(PATH, b"content-type: application/json", b"content-length: 1000")
        assert client.answer().startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - client.since < LATE


@pytest.mark.parametrize("path", ["/faults/bytes/50000000", "/faults/stream"])
@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
def test_response_that_is_not_taken_is_disconnected(
    service: Service, path: str, connection: bytes
) -> None:
    before = service.tasks()
    with Client(service) as client:
        client.send(
            b"GET %s HTTP/1.1\r\nhost: here\r\nconnection: %s\r\n\r\n" % (path.encode(), connection)
        )
        wait_until(client.is_reset, LATE)
        assert time.monotonic() - client.since > IO_TIMEOUT - 0.2
        wait_until(lambda: service.tasks() <= before)


def test_slow_but_steady_reader_receives_everything(service: Service) -> None:
    size, rate = 8_000_000, 250_000
    with Client(service, receive_buffer=65536) as client:
        client.send(b"GET /faults/bytes/%d HTTP/1.0\r\n\r\n" % size)
        got = 0
        while (spent := time.monotonic() - client.since) < 3 * IO_TIMEOUT:
            got += len(client.socket.recv(4096))
            time.sleep(max(0.0, got / rate - spent))
        assert got < size / 2
        assert got + len(client.answer()) > size


def test_silent_stream_is_not_a_slow_reader(service: Service) -> None:
    with Client(service) as client:
        client.send(b"GET /faults/stream?pause=%d HTTP/1.0\r\n\r\n" % (2 * IO_TIMEOUT))
        got = b""
        while got.count(b"x" * 4096) < 2:
            got += client.socket.recv(65536)
        assert time.monotonic() - client.since > 2 * IO_TIMEOUT - 0.2


@pytest.mark.parametrize(
    "head",
    [
        GET[:-2] + b"x: " + b"y" * 65536 + b"\r\n\r\n",
        GET[:-2] + b"x: " + b"y" * 65536,
        GET[:-2] + b"x: y\r\n" * 12000,
        GET[:-2] + b"x: y\r\n" * 160_000,
        b"GET /" + b"x" * 65536,
    ],
    ids=["complete", "endless field", "endless fields", "fields until 960 kB", "endless target"],
)
def test_headers_beyond_the_limit_are_answered_431(service: Service, head: bytes) -> None:
    with Client(service) as client:
        client.send(head)
        answer = client.answer()
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"\r\ncontent-type: application/problem+json\r\n" in answer
    assert b"The request headers are larger than 65536 bytes." in answer


def test_headers_within_the_limit_are_served_with_a_large_body(service: Service) -> None:
    with Client(service) as client:
        fields = [b"x: " + b"y" * 60000, b"content-length: 500000", b"connection: close"]
        client.post("/faults/read-after/0", *fields, body=b"x" * 500_000)
        assert client.answer().endswith(b"\r\n\r\n500000")


def test_malformed_request_is_answered_400_as_a_problem(service: Service) -> None:
    with Client(service) as client:
        client.send(b"nonsense\r\n\r\n")
        answer = client.answer()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\ncontent-type: application/problem+json\r\n" in answer
    head, _, body = answer.partition(b"\r\n\r\n")
    request_id = json.loads(body)["request_id"]
    assert f"\r\nx-request-id: {request_id}\r\n".encode() in head
    wait_until(lambda: request_id in logged_ids(service), within=5)


def logged_ids(service: Service) -> set[str]:
    return {line["request_id"] for line in service.records("rejected malformed request")}


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"", CHUNK),
        (b"1;", b"x" * 4096),
        (b"1\r\nx\r\n0\r\n", b"x: yyyyyyyyyyyyyyyy\r\n" * 100),
    ],
    ids=["body", "extension", "trailers"],
)
def test_endless_body_is_disconnected(service: Service, begin: bytes, part: bytes) -> None:
    with Client(service) as client:
        client.post(PATH, b"content-type: application/json", b"transfer-encoding: chunked")
        client.send(begin)
        assert client.floods(part)


def test_pipelined_requests_are_answered_in_turn(service: Service) -> None:
    requests = [b"GET /nowhere/%d HTTP/1.1\r\nhost: here\r\n\r\n" % n for n in range(30)]
    with Client(service) as client:
        client.send(b"".join(requests), f"GET {PATH} HTTP/1.0\r\n\r\n".encode())
        answer = client.answer()
    assert answer.count(b"HTTP/1.1 404 ") == 30
    assert answer.count(b"HTTP/1.1 200 ") == 1


def test_endless_pipelining_is_disconnected(service: Service) -> None:
    with Client(service) as client:
        assert client.floods(GET * 100)
    assert service.probe("live") == 200


def test_500_slow_clients_do_not_delay_other_requests(start_service: StartService) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not list the files of a process")
    with open_files(200):  # the service must raise its limit
        service = start_service(SERVICE_HEADER_TIMEOUT=ATTACK_TIMEOUT)
    service.until_ready()
    assert service.api.get(PATH).status_code == 200  # over new connections
    idle = descriptors(service)
    with open_files(1000):
        took = asyncio.run(ask_during_attack(service, attackers=500))
    assert len(took) > 3 * ATTACK_TIMEOUT
    assert max(took) < 2
    wait_until(lambda: descriptors(service) <= idle)


@contextlib.contextmanager
def open_files(limit: int) -> Iterator[None]:
    """Limit the number of open files, also for processes that are started meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def descriptors(service: Service) -> int:
    return len(list(Path(f"/proc/{service.process.pids[0]}/fd").iterdir()))


async def ask_during_attack(service: Service, attackers: int) -> list[float]:
    """Hold slow connections until they end; return the seconds that other requests took."""
    attack = [asyncio.create_task(send_slow_headers(service.port)) for _ in range(attackers)]
    async with asyncio.timeout(LATE):
        while descriptors(service) < attackers:
            await asyncio.sleep(0.01)
    took = []
    while not any(attacker.done() for attacker in attack):  # all are still connected
        for path in ("/health/live", "/health/ready", PATH):
            started = time.monotonic()
            answer = await asyncio.to_thread(service.api.get, path)
            took.append(time.monotonic() - started)
            assert answer.status_code == 200
        await asyncio.sleep(0.05)
    assert all(
        ATTACK_TIMEOUT - 1 < lived < ATTACK_TIMEOUT + LATE
        for lived in await asyncio.gather(*attack)
    )
    return took


async def send_slow_headers(port: int) -> float:
    """Send one byte of a header per second; return the seconds until the connection ends."""
    started = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    end = asyncio.create_task(reader.read())
    writer.write(b"GET /")
    while not end.done():
        writer.write(b"x")
        await asyncio.wait([end], timeout=1)
    writer.close()
    assert not end.exception() or isinstance(end.exception(), ConnectionError)
    return time.monotonic() - started
