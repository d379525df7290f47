"""The engine in other hosts: any event loop, no lifespan, mounts, and checks that block."""

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.routing import Mount

from reference_service.health import (
    Answer,
    Check,
    Options,
    Probe,
    Probes,
    Registry,
    Status,
)
from reference_service.health.asgi import (
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
)

from .clock import now, run
from .fakes import Dependency, running, until

FAST = Options(interval=0.05, timeout=0.2)


async def no_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse lifespan events as Django's ASGI handler does."""
    if scope["type"] != "http":
        raise ValueError("only HTTP is supported")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"business"})


def client_of(app: ASGIApp, root_path: str = "") -> httpx.AsyncClient:
    """Return a client of an application, without lifespan events."""
    transport = httpx.ASGITransport(app=app, root_path=root_path)
    return httpx.AsyncClient(transport=transport, base_url="http://service")


async def wait_for(client: httpx.AsyncClient, path: str, status: int) -> None:
    async with asyncio.timeout(30):
        while (await client.get(path)).status_code != status:
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Send lifespan events, as servers and test clients do."""
    to_app, from_app = asyncio.Queue[Message](), asyncio.Queue[Message]()
    running_app = asyncio.ensure_future(app({"type": "lifespan"}, to_app.get, from_app.put))
    to_app.put_nowait({"type": "lifespan.startup"})
    started = asyncio.create_task(from_app.get())
    await asyncio.wait({running_app, started}, return_when=asyncio.FIRST_COMPLETED)
    if running_app.done():
        started.cancel()
        await running_app
    assert (await started)["type"] == "lifespan.startup.complete"
    yield
    to_app.put_nowait({"type": "lifespan.shutdown"})
    await running_app


def test_application_can_be_started_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    async def serve() -> list[int]:
        async with lifespan(app), client_of(app) as client:
            await wait_for(client, "/health/ready", 200)
            attempts = len(dependency.attempted_at)
            await until(lambda: len(dependency.attempted_at) > attempts + 3)
            codes = [(await client.get("/health/ready")).status_code]
            registry.drain()
            return [*codes, (await client.get("/health/ready")).status_code]

    dependency = Dependency()
    registry = Registry([Check("db", dependency.check)], FAST)
    app = Probes(Starlette(), registry)
    assert [asyncio.run(serve()) for _ in range(3)] == [[200, 503]] * 3
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_results_of_an_earlier_start_do_not_count() -> None:
    async def serve() -> list[Answer]:
        await registry.start()
        registry.started_up = True
        answers = [registry.startup(), registry.ready()]
        await has_status(registry, Status.PASS)
        answers += [registry.startup(), registry.ready()]
        await registry.stop()
        return answers

    registry = Registry([Check("db", Dependency().check)], FAST)
    expected = [Answer.FAIL, Answer.FAIL, Answer.PASS, Answer.PASS]
    assert [asyncio.run(serve()) for _ in range(2)] == [expected] * 2


def test_attempt_of_an_event_loop_that_has_ended_is_forgotten() -> None:
    async def serve(status: Status) -> None:
        await registry.start()
        if status is Status.FAIL:
            await until(lambda: dependency.in_flight and registry.monitors["db"].state.timed_out)
        await has_status(registry, status)

    dependency = Dependency()
    dependency.hangs = dependency.swallows_cancellation = True
    registry = Registry([Check("db", dependency.check)], FAST)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(serve(Status.FAIL))
    loop.run_until_complete(registry.stop())
    loop.close()  # the attempt never ends
    dependency.hangs = False
    asyncio.run(serve(Status.PASS))
    gc.collect()  # asyncio logs that the attempt is destroyed: here, and not in a later test


async def test_without_lifespan_the_checks_start_with_the_first_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = Registry([Check("db", Dependency().check)], FAST)
    app = Probes(no_lifespan, registry)
    with pytest.raises(ValueError, match="only HTTP"):
        async with lifespan(app):
            pass
    async with client_of(app) as client:
        assert (await client.get("/")).text == "business"
        await wait_for(client, "/health/ready", 200)
    assert (
        caplog.messages.count("no lifespan events: health checks start with the first request") == 1
    )
    await registry.stop()


def test_requests_that_each_have_an_event_loop_are_answered() -> None:
    async def get(path: str) -> int:
        async with client_of(app) as client:
            return (await client.get(path)).status_code

    app = Probes(no_lifespan, Registry([Check("db", Dependency().check)], FAST))
    assert [asyncio.run(get(path)) for path in ("/", "/", "/health/live")] == [200] * 3


@pytest.mark.parametrize("root_path", ["/api", "/api/"])
async def test_probes_are_below_the_root_path(root_path: str) -> None:
    registry = Registry([], FAST)
    async with client_of(Probes(no_lifespan, registry), root_path) as client:
        await wait_for(client, "/api/health/live", 200)
        await wait_for(client, "/health/live", 200)  # a server that removes the root path
        assert (await client.get("/apihealth/live")).text == "business"
    await registry.stop()


async def test_probes_work_in_a_mounted_application() -> None:
    registry = Registry([Check("db", Dependency().check)], FAST)
    outer = Starlette(routes=[Mount("/sub", app=Probes(no_lifespan, registry))])
    async with client_of(outer) as client:
        await wait_for(client, "/sub/health/ready", 200)
    await registry.stop()


async def test_probes_have_the_paths_that_a_manifest_asks_for() -> None:
    dependency = Dependency()
    registry = Registry([Check("db", dependency.check, failure_threshold=1)], FAST)
    app = Probes(
        no_lifespan,
        registry,
        paths={"/livez": Probe.LIVE, "/readyz": Probe.READY},
        plain_paths={"/ping": Probe.READY},
    )
    async with client_of(app) as client:
        await wait_for(client, "/readyz", 200)
        assert (await client.get("/livez")).json() == {"status": "pass"}
        plain = await client.get("/ping")
        assert (plain.text, plain.headers["content-type"]) == ("ok", "text/plain")
        assert (await client.get("/health/ready")).text == "business"
        dependency.error = ConnectionError()
        await wait_for(client, "/readyz", 503)
        plain = await client.get("/ping")
        assert (plain.status_code, plain.text) == (503, "fail")
    await registry.stop()


class Blocking:
    """A blocking check, and ways to call it. It waits while `release` is not set."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.release.set()
        self._lock = threading.Lock()
        self.threads = self.max_threads = 0

    def check(self) -> None:
        with self._lock:
            self.threads += 1
            self.max_threads = max(self.max_threads, self.threads)
        try:
            assert self.release.wait(30)
        finally:
            with self._lock:
                self.threads -= 1

    async def check_in_thread(self) -> None:
        async with asyncio.timeout(10):
            await asyncio.to_thread(self.check)

    async def check_in_executor(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.check)

    async def check_in_threadpool(self) -> None:
        await run_in_threadpool(self.check)


@pytest.fixture
def blocking() -> Iterator[Blocking]:
    blocking = Blocking()
    yield blocking
    blocking.release.set()


@pytest.mark.parametrize(
    "name", ["check", "check_in_thread", "check_in_executor", "check_in_threadpool"]
)
async def test_blocking_check_that_hangs_has_one_thread_and_recovers(
    blocking: Blocking, name: str
) -> None:
    registry = Registry([Check("db", getattr(blocking, name))], FAST)
    await registry.start()
    registry.started_up = True
    await has_status(registry, Status.PASS)
    blocking.release.clear()
    await has_status(registry, Status.FAIL)
    await has_attempts(registry, registry.monitors["db"].state.attempts + 2)
    assert blocking.threads == blocking.max_threads == 1
    assert registry.answer(Probe.READY) is Answer.TIMEOUT
    assert registry.live() is Answer.PASS
    blocking.release.set()
    await has_status(registry, Status.PASS)
    await registry.stop()


async def has_status(registry: Registry, status: Status) -> None:
    await until(lambda: registry.monitors["db"].state.status is status)


async def has_attempts(registry: Registry, attempts: int) -> None:
    await until(lambda: registry.monitors["db"].state.attempts >= attempts)


@pytest.mark.parametrize("name", ["check", "check_in_thread"])
async def test_thread_that_never_ends_fails_live_after_90_seconds(
    blocking: Blocking, name: str
) -> None:
    late = 0.0
    check = Check("db", getattr(blocking, name))
    registry = Registry([check], FAST, clock=lambda: time.monotonic() + late)
    blocking.release.clear()
    await registry.start()
    await has_status(registry, Status.FAIL)

    await has_attempts(registry, 5)
    for seconds, fails in ((80.0, False), (91.0, True)):
        late = seconds
        await has_attempts(registry, registry.monitors["db"].state.attempts + 1)
        if fails:
            await until(lambda: registry.live() is Answer.FAIL)
        else:
            assert registry.live() is Answer.PASS
    assert blocking.max_threads == 1
    blocking.release.set()  # the event loop waits for its threads
    await registry.stop()


async def test_check_that_hangs_after_its_thread_has_ended_is_cancelled(blocking: Blocking) -> None:
    cancelled = asyncio.Event()

    async def check() -> None:
        await asyncio.to_thread(blocking.check)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    registry = Registry([Check("db", check)], FAST)
    blocking.release.clear()
    await registry.start()
    await has_status(registry, Status.FAIL)
    await has_attempts(registry, 5)
    assert not cancelled.is_set()
    blocking.release.set()
    await asyncio.wait_for(cancelled.wait(), 30)
    await registry.stop()


def test_check_of_liveness_fails_live_and_stale_results_do_not() -> None:
    async def scenario() -> list[Answer]:
        dependency, answers = Dependency(), []
        async with running(Check("threads", dependency.check, liveness=True)) as registry:
            answers.append(registry.live())  # not checked yet
            await asyncio.sleep(1)
            answers.append(registry.live())
            dependency.error = RuntimeError()
            await asyncio.sleep(10)
            answers.append(registry.live())
            dependency.error = None
            await asyncio.sleep(2)
            answers.append(registry.live())
        return answers

    assert run(scenario()) == [Answer.PASS, Answer.PASS, Answer.FAIL, Answer.PASS]


def test_check_can_be_added_and_removed_while_the_service_is_running() -> None:
    async def scenario() -> list[object]:
        first, second = Dependency(), Dependency()
        second.error = PermissionError()
        seen: list[object] = []
        async with running(Check("first", first.check)) as registry:
            await asyncio.sleep(1)
            registry.ready()
            registry.add(Check("second", second.check, failure_threshold=1))
            seen.append(registry.ready())
            await asyncio.sleep(0.5)
            seen.append(registry.ready())
            registry.remove("second")
            seen.append(registry.ready())
            await asyncio.sleep(0.5)
            attempts = len(second.attempted_at)
            await asyncio.sleep(20)
            seen.append(len(second.attempted_at) == attempts)
            seen.append(sum(task.get_name() == "monitor second" for task in asyncio.all_tasks()))
        return seen

    assert run(scenario()) == [Answer.WARN, Answer.FAIL, Answer.PASS, True, 0]


def test_added_check_that_is_never_tried_becomes_stale() -> None:
    async def scenario() -> Answer:
        late = 0.0
        registry = Registry([], clock=lambda: now() + late)
        await registry.start()
        registry.started_up = True
        assert registry.startup() is Answer.PASS
        registry.add(Check("db", Dependency().check))
        late = 60.0  # as during SIGSTOP
        answer = registry.ready()
        await registry.stop()
        return answer

    assert run(scenario()) is Answer.FAIL


def test_startup_does_not_wait_for_a_check_that_is_no_part_of_it() -> None:
    async def scenario() -> tuple[Answer, Answer]:
        slow = Dependency()
        slow.hangs = True
        check = Check("slow", slow.check, timeout=60.0, startup=False)
        async with running(Check("db", Dependency().check), check) as registry:
            await asyncio.sleep(1)
            return registry.startup(), registry.ready()

    assert run(scenario()) == (Answer.PASS, Answer.FAIL)


def test_first_attempts_are_spread_over_the_start_delay() -> None:
    async def scenario() -> list[float]:
        dependencies = [Dependency() for _ in range(40)]
        checks = [Check(f"db{n}", each.check) for n, each in enumerate(dependencies)]
        async with running(*checks, options=Options(start_delay=4.0)):
            await asyncio.sleep(4.5)
        return [each.attempted_at[0] for each in dependencies]

    first = run(scenario())
    assert 0 <= min(first) < 1
    assert 3 < max(first) <= 4.01
