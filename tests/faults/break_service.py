"""The service itself in trouble: its code, its clients, its start and its end; and all at once."""

import asyncio
import os
import signal
import time
from collections import Counter

from .environment import POOL, Rig
from .harness import AT_ONCE, DETECTION, OK, RECOVERY, Act, Fault
from .probe_client import REFUSED, SILENT, ask, fetch

FAMILIES = ("ValueError", "ExceptionGroup", "SystemExit", "CancelledError")
ROUTED = 0.6
"""Seconds after SIGTERM for which requests still come: what it takes until all have heard of it."""
START = 10.0
"""Seconds that a service may take to be ready after its start on a busy machine."""


class Load:
    """Clients that ask again and again, and count what they are answered."""

    def __init__(self, path: str, clients: int, *, method: str = "GET", seconds: float) -> None:
        self.path, self.method = path, method
        self.clients, self.seconds = clients, seconds
        self.codes: Counter[int] = Counter()

    def start(self, rig: Rig) -> None:
        """Let the clients begin."""
        self.codes.clear()
        until = time.monotonic() + self.seconds
        for _ in range(self.clients):
            rig.goes_on(self._client(rig, until))

    async def _client(self, rig: Rig, until: float) -> None:
        body = b'{"name": "under load"}' if self.method == "POST" else b""
        while time.monotonic() < until:
            code, _ = await fetch(rig.service.port, self.path, self.method, body)
            self.codes[code] += 1

    def only(self, *codes: int) -> list[str]:
        """Return a sentence if there were answers other than these, or none at all."""
        others = {code: times for code, times in self.codes.items() if code not in codes}
        return [f"requests were answered {dict(self.codes)}"] if others or not self.codes else []


async def block(rig: Rig) -> None:
    """Have a handler block the event loop for three seconds."""
    rig.goes_on(rig.service.get("/faults/block/3"))


async def names_the_culprit(rig: Rig) -> list[str]:
    """Hold the log to showing the stack that blocked the loop."""
    shown = "block_the_loop" in rig.service.log.read_text()
    return [] if shown else ["the log does not show the stack that blocked the loop"]


def panic(family: str) -> Fault:
    """Return the fault of a handler that raises."""
    load = Load(f"/faults/raise/{family}", 5, seconds=2)

    async def raise_often(rig: Rig) -> None:
        load.start(rig)

    async def answered(_: Rig) -> list[str]:
        return load.only(500)

    name = f"A handler raises {family}, again and again"
    return Fault(name, raise_often, ready=200, hold=3, examine=answered)


def under_load(name: str, load: Load, *codes: int, **settings: str) -> Fault:
    """Return what is no fault: load, under which `ready` must stay 200."""

    async def begin(rig: Rig) -> None:
        load.start(rig)

    async def answered(_: Rig) -> list[str]:
        missing = [f"no request was answered {code}" for code in codes if not load.codes[code]]
        return missing + load.only(*codes)

    return Fault(name, begin, ready=200, hold=load.seconds + 1, examine=answered, settings=settings)


async def leak(rig: Rig) -> None:
    """Leak ten thousand tasks."""
    await rig.service.get("/faults/leak/10000")


async def unleak(rig: Rig) -> None:
    """End them."""
    await rig.service.get("/faults/leak/0")


async def open_slowly(rig: Rig) -> None:
    """Have 500 clients hold a connection with half of a request, as slowloris does."""
    rig.goes_on(_hold_open(rig, 500, seconds=6))
    await asyncio.sleep(2)


async def _hold_open(rig: Rig, clients: int, seconds: float) -> None:
    writers = []
    for _ in range(clients):
        _, writer = await asyncio.open_connection("127.0.0.1", rig.service.port)
        writer.write(b"GET /items HTTP/1.1\r\nhost: x\r\nx-slow: ")
        writers.append(writer)
    for _ in range(int(seconds)):
        await asyncio.sleep(1)
        for writer in writers:
            writer.write(b"x")
    for writer in writers:
        writer.transport.abort()


async def still_serves(rig: Rig) -> list[str]:
    """Hold the service to answering its API."""
    code = await rig.service.get("/items")
    return [] if code == OK else [f"/items was answered {code}"]


def start_without(break_it: Act, **settings: str) -> Act:
    """Return what breaks something, and starts the service anew on it."""

    def start_broken(rig: Rig) -> None:
        rig.service.stop()
        break_it(rig)
        rig.service.serve(rig.environment | settings)

    async def start(rig: Rig) -> None:
        await asyncio.to_thread(start_broken, rig)
        while (await ask(rig.service.port, "/health/live")).code != OK:
            await asyncio.sleep(0.05)

    return start


async def waits(rig: Rig) -> list[str]:
    """Hold a service that cannot start yet to being alive, and saying so."""
    port = rig.service.port
    codes = {name: (await ask(port, f"/health/{name}")).code for name in ("live", "startup")}
    return [] if codes == {"live": 200, "startup": 503} else [f"it answered {codes}"]


class Leaving:
    """A service that is told to leave. signals: how often; status: what it has to end with."""

    def __init__(self, *, signals: int = 1, slow: float = 2.0, status: int = 0) -> None:
        self.load = Load("/items", 20, method="POST", seconds=ROUTED)
        self.signals, self.slow, self.status = signals, slow, status
        self.running: list[asyncio.Task[int]] = []
        self.left = 0.0

    async def leave(self, rig: Rig) -> None:
        """Send the signal while requests run, and more come, as they do until all have heard."""
        self.running = [
            asyncio.create_task(rig.service.get(f"/faults/sleep/{self.slow:g}")) for _ in range(5)
        ]
        await asyncio.sleep(0.3)  # they are on their way
        self.load.start(rig)
        for _ in range(self.signals):
            os.kill(rig.service.pid, signal.SIGTERM)
            await asyncio.sleep(0.2)

    async def lost_nothing(self, rig: Rig) -> list[str]:
        """Hold it to having answered every request, and to its exit status."""
        codes = [await task for task in self.running]
        said = self.load.only(201) + ([] if set(codes) == {200} else [f"slow ones got {codes}"])
        return said + await self.ended(rig)

    async def ended(self, rig: Rig) -> list[str]:
        """Hold it to ending in time, with its exit status."""
        await asyncio.gather(*self.running)
        deadline = time.monotonic() + 10
        while rig.service.runs and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        status = rig.service.status
        return [] if status == self.status else [f"it ended with {status}"]


def leaves(name: str, leaving: Leaving, *, loses: bool = False, **settings: str) -> Fault:
    """Return the fault that is an end."""

    def start_again(rig: Rig) -> None:
        rig.service.stop()
        rig.service.serve(rig.environment)

    return Fault(
        name,
        leaving.leave,
        start_again,
        within=0.5,
        back=START,
        also=frozenset({503, REFUSED}),
        examine=leaving.ended if loses else leaving.lost_nothing,
        settings=settings,
    )


def everything(rig: Rig) -> None:
    """Break four things in four ways."""
    rig.postgres.pause()
    rig.valkey.stop()
    rig.kafka.brokers_down()
    rig.downstream.kill()


def all_mended(rig: Rig) -> None:
    """Mend them again."""
    rig.postgres.resume()
    rig.valkey.start()
    rig.kafka.brokers_up()
    rig.downstream.start()


def freeze_everything(rig: Rig) -> None:
    """Freeze all that the service depends on."""
    for server in (rig.postgres, rig.valkey, rig.kafka, rig.downstream):
        server.pause()


def thaw_everything(rig: Rig) -> None:
    """Let it all go on."""
    for server in (rig.postgres, rig.valkey, rig.kafka, rig.downstream):
        server.resume()


SERVICE = [
    Fault(
        "A handler blocks the event loop for 3 s",
        block,
        ready=200,
        hold=5,
        also=frozenset({SILENT}),
        examine=names_the_culprit,
    ),
    *(panic(family) for family in FAMILIES),
    Fault("Ten thousand tasks are leaked", leak, unleak, ready=200, hold=DETECTION),
    Fault(
        "500 slow clients hold a connection each (no fault)",
        open_slowly,
        ready=200,
        hold=4,
        examine=still_serves,
    ),
    under_load("A storm of probes (no fault)", Load("/health/ready", 30, seconds=DETECTION), 200),
    under_load(
        "A burst of requests at full load (no fault)",
        Load("/items", 4 * POOL, seconds=2 * DETECTION),
        200,
    ),
    under_load(
        "More requests than may be in flight (no fault)",
        Load("/faults/sleep/0.5", 30, seconds=3),
        200,
        503,
        SERVICE_CONCURRENCY_LIMIT="10",
    ),
    Fault(
        "The service starts before its database",
        start_without(lambda rig: rig.postgres.stop()),
        lambda rig: rig.postgres.start(),
        within=START,
        also=frozenset({503, REFUSED}),
        examine=waits,
    ),
    Fault(
        "The service starts before its Kafka topic",
        start_without(lambda _: None, KAFKA_TOPICS="items,orders"),
        lambda rig: rig.kafka.create_topic("orders"),
        blames="kafka: TopicMissing",
        within=START,
        back=AT_ONCE,
        also=frozenset({503, REFUSED}),
        examine=waits,
    ),
    leaves("SIGTERM under load", Leaving()),
    leaves(
        "A request outlives the drain",
        Leaving(slow=20),
        loses=True,
        SERVICE_SHUTDOWN_TIMEOUT="1",
    ),
    leaves(
        "A second SIGTERM",
        Leaving(signals=2, slow=20, status=128 + signal.SIGTERM),
        loses=True,
        SERVICE_DRAIN_DELAY="60",
    ),
    Fault(
        "Four dependencies are broken at once",
        everything,
        all_mended,
        blames="redis: ConnectionError",
        back=RECOVERY + 2,
    ),
    Fault(
        "Every dependency is frozen",
        freeze_everything,
        thaw_everything,
        ready=504,
        blames="postgres: TimeoutError",
    ),
]
