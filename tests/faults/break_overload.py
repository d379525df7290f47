"""Overload the service, and send it what slow, broken and impatient clients send."""

import asyncio
import time
from collections import Counter

from .environment import POOL, Environment
from .harness import DETECTION, Fault
from .postgres_actions import FAST_ROWS, restart_with, slow_rows, sql
from .probe_client import CONNECTION_FAILED, OK, WARN, send_request

DRAINING = "it drains: new requests must not arrive, but those that do succeed"
OVERLOADED = "other replicas would get the load, and be overloaded in turn"
NO_LIMIT = {"SERVICE_CONCURRENCY_LIMIT": "1000"}
"""Settings for faults of something else: a busy machine lowers the learned limit."""
THREADS = 60
"""Handlers that block: more than the threads of the service."""


class Load:
    """Clients that send requests continuously, and count the status codes."""

    def __init__(self, path: str, clients: int, *, method: str = "GET", seconds: float) -> None:
        self.path, self.method = path, method
        self.clients, self.seconds = clients, seconds
        self.codes: Counter[int] = Counter()

    def start(self, env: Environment) -> None:
        """Start the clients in the background."""
        self.codes.clear()
        end = time.monotonic() + self.seconds
        for _ in range(self.clients):
            env.run_in_background(self._run_client(env, end))

    async def _run_client(self, env: Environment, end: float) -> None:
        body = b'{"name": "under load"}' if self.method == "POST" else b""
        while time.monotonic() < end:
            code, _ = await send_request(env.service.port, self.path, self.method, body)
            self.codes[code] += 1

    def unexpected_codes(self, *expected: int) -> list[str]:
        """Return one sentence if there were other status codes, or no responses."""
        others = any(code not in expected for code in self.codes)
        return [f"requests returned {dict(self.codes)}"] if others or not self.codes else []


def high_load(
    name: str,
    load: Load,
    *codes: int,
    rejections: bool = False,
    warns: bool = False,
    green_is_right: str = "",
    **settings: str,
) -> Fault:
    """Return a load during which `ready` must stay 200.

    codes: all must occur, and no others. rejections: whether 503 may occur too, for any client.
    warns: whether most requests are rejected, so that `ready` must warn.
    """

    async def start_load(env: Environment) -> None:
        load.start(env)

    async def exactly_these_codes(_: Environment) -> list[str]:
        missing = [f"no request returned {code}" for code in codes if not load.codes[code]]
        return missing + load.unexpected_codes(*codes, *([503] if rejections else []))

    return Fault(
        name,
        start_load,
        ready_code=WARN if warns else OK,
        failure="requests: RequestsFailing" if warns else "",
        hold=load.seconds + 1,
        green_is_right=green_is_right,
        intermittent=rejections,
        verify=exactly_these_codes,
        settings=settings if rejections else NO_LIMIT | settings,
    )


class RetryStorm(Load):
    """Clients that repeat a request at once, three times, if it is rejected or fails."""

    RETRIES = 3

    async def _run_client(self, env: Environment, end: float) -> None:
        while time.monotonic() < end:
            for _ in range(1 + self.RETRIES):
                code, _ = await send_request(env.service.port, self.path, self.method)
                self.codes[code] += 1
                if code == OK:
                    break


def thundering_herd(clients: int) -> Fault:
    """Return the fault of a service that starts again, and gets many connections at once."""
    codes: Counter[int] = Counter()

    async def connect_and_send(env: Environment) -> None:
        code, _ = await send_request(env.service.port, "/items")
        codes[code] += 1

    async def start_and_connect(env: Environment) -> None:
        codes.clear()
        await restart_with(env, {})
        for _ in range(clients):
            env.run_in_background(connect_and_send(env))

    async def all_are_answered(_: Environment) -> list[str]:
        answered = codes.total() == clients and set(codes) <= {200, 503} and codes[200]
        return [] if answered else [f"the {clients} clients got {dict(codes)}"]

    return Fault(
        f"{clients} clients connect at once to a service that has just started",
        start_and_connect,
        ready_code=OK,
        allowed_codes=frozenset({503, CONNECTION_FAILED}),
        hold=5,
        green_is_right=OVERLOADED,
        red_is_right=DRAINING,
        intermittent=True,
        verify=all_are_answered,
    )


def slow_database_under_load(clients: int, seconds: float) -> Fault:
    """Return the fault of a database that needs 20 ms for each row, and of many clients."""
    load = Load("/items?limit=1", clients, seconds=seconds)

    async def slow_down_and_send(env: Environment) -> None:
        await asyncio.to_thread(sql(*slow_rows(0.02)), env)
        load.start(env)

    async def some_are_answered(_: Environment) -> list[str]:
        missing = [] if load.codes[OK] else ["no request returned 200"]
        return missing + load.unexpected_codes(OK, 503)

    return Fault(
        f"Database takes 20 ms for each row, and {clients} clients ask it (still ready)",
        slow_down_and_send,
        sql(*FAST_ROWS),
        ready_code=OK,
        hold=seconds + 1,
        green_is_right=OVERLOADED,
        intermittent=True,
        verify=some_are_answered,
    )


async def start_slow_clients(env: Environment) -> None:
    """Open 500 connections with an incomplete request, as in a slowloris attack."""
    env.run_in_background(_send_headers_slowly(env, 500, seconds=6))
    await asyncio.sleep(2)


async def _send_headers_slowly(env: Environment, clients: int, seconds: float) -> None:
    writers = []
    for _ in range(clients):
        _, writer = await asyncio.open_connection("127.0.0.1", env.service.port)
        writer.write(b"GET /items HTTP/1.1\r\nhost: x\r\nx-slow: ")
        writers.append(writer)
    for _ in range(int(seconds)):
        await asyncio.sleep(1)
        for writer in writers:
            writer.write(b"x")
    for writer in writers:
        writer.transport.abort()


async def items_are_served(env: Environment) -> list[str]:
    """Check that the API still responds."""
    code = await env.service.get("/items")
    return [] if code == OK else [f"/items returned {code}"]


async def block_threads(env: Environment) -> None:
    """Let synchronous handlers block every thread for some seconds."""
    for _ in range(THREADS):
        env.run_in_background(env.service.get("/faults/block-thread/4"))


async def send_malformed_requests(env: Environment) -> None:
    """Send bytes that are not HTTP, on ten connections at a time, for three seconds."""
    env.run_in_background(_send_and_abort(env, b"\x16\x03\x01 not HTTP\r\n\r\n", seconds=3))


async def disconnect_before_responses(env: Environment) -> None:
    """Send requests and disconnect at once, on ten connections at a time, for three seconds."""
    request = b"GET /items HTTP/1.1\r\nhost: x\r\n\r\n"
    env.run_in_background(_send_and_abort(env, request, seconds=3))


async def disconnect_all_before_responses(env: Environment) -> None:
    """Let 300 clients at a time send a request and disconnect at once, for three seconds."""
    request = b"GET /items HTTP/1.1\r\nhost: x\r\n\r\n"
    env.run_in_background(_send_and_abort(env, request, seconds=3, clients=300))


async def _send_and_abort(
    env: Environment, content: bytes, seconds: float, clients: int = 10
) -> None:
    async def send() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", env.service.port)
        writer.write(content)
        await asyncio.sleep(0.05)
        writer.transport.abort()

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.gather(*(send() for _ in range(clients)))


OVERLOAD = [
    Fault(
        "500 slow clients hold one connection each (still ready)",
        start_slow_clients,
        ready_code=OK,
        hold=4,
        verify=items_are_served,
    ),
    Fault(
        "Threads are all in use by handlers that block (still ready)",
        block_threads,
        ready_code=OK,
        max_failures=0,
        hold=6,
    ),
    high_load(
        "30 clients send probes continuously (still ready)",
        Load("/health/ready", 30, seconds=DETECTION),
        200,
    ),
    high_load(
        "Requests at full load (still ready)",
        Load("/items", 4 * POOL, seconds=2 * DETECTION),
        200,
    ),
    high_load(
        "More requests than the concurrency limit (still ready)",
        Load("/faults/sleep/0.5", 30, seconds=3),
        200,
        503,
        green_is_right=OVERLOADED,
        SERVICE_CONCURRENCY_LIMIT="10",
    ),
    high_load(
        "Far more requests than the service can answer, with the learned limit (still ready)",
        Load("/items", 100, seconds=5),
        200,
        rejections=True,
        green_is_right=OVERLOADED,
    ),
    high_load(
        "300 clients send requests for 60 s, with the learned limit (still ready)",
        Load("/items", 300, seconds=60),
        200,
        rejections=True,
        warns=True,
        green_is_right=OVERLOADED,
    ),
    high_load(
        "Clients retry at once, three times, whatever is rejected (still ready)",
        RetryStorm("/items", 100, seconds=5),
        200,
        rejections=True,
        green_is_right=OVERLOADED,
    ),
    thundering_herd(300),
    slow_database_under_load(100, seconds=10),
    Fault(
        "Clients send malformed requests continuously (still ready)",
        send_malformed_requests,
        ready_code=OK,
        max_failures=0,
        hold=4,
    ),
    Fault(
        "Clients disconnect before each response (still ready)",
        disconnect_before_responses,
        ready_code=OK,
        max_failures=0,
        hold=4,
        settings=NO_LIMIT,
    ),
    Fault(
        "300 clients at a time disconnect before each response (still ready)",
        disconnect_all_before_responses,
        ready_code=OK,
        green_is_right=OVERLOADED,
        intermittent=True,
        hold=4,
        verify=items_are_served,
    ),
    high_load(
        "Requests for paths that do not exist (still ready)",
        Load("/nothing", 10, seconds=3),
        404,
    ),
    high_load(
        "Writes at full load (still ready)",
        Load("/items", 4 * POOL, method="POST", seconds=DETECTION),
        201,
    ),
    high_load(
        "Requests exceed the request timeout (still ready)",
        Load("/faults/sleep/5", 5, seconds=3),
        504,
        SERVICE_REQUEST_TIMEOUT="1",
    ),
]
