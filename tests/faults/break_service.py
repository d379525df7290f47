"""Break the service itself: its code, clients, start and shutdown, and all dependencies at once."""

import asyncio
import os
import re
import resource
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from .break_overload import DRAINING, NO_LIMIT, Load
from .environment import POOL, Environment, HttpProcess, wait_until, wait_until_responds
from .harness import (
    CHECK_CONNECTIONS,
    DETECTION,
    OUTCOME_INTERVAL,
    RECOVERY,
    Action,
    Fault,
    do_nothing,
)
from .postgres_actions import DISCONNECT_SERVICE, restore_password
from .probe_client import CONNECTION_FAILED, NO_RESPONSE, OK, RED, WARN, send_probe
from .small_disk import cannot_mount
from .truth import WINDOW

EXCEPTIONS = ("ValueError", "ExceptionGroup", "SystemExit", "CancelledError")
ROUTING_DELAY = 0.6
"""Seconds after SIGTERM during which requests still arrive, because routing changes take time."""
START_TIMEOUT = 10.0
"""Seconds that a service may need from start to ready on a busy machine."""
COLD_START_TIMEOUT = 60.0
"""Seconds in which many processes that start at once on few cores must be ready."""
CONNECT_TIMEOUT = 5.0
"""Seconds until the first attempt of the items ends. `startup` waits until each check was tried."""
FROZEN = 8.0
"""Seconds that the service is stopped with SIGSTOP: longer than any result of a check is valid."""
OUTCOME_DETECTION = WINDOW + OUTCOME_INTERVAL
"""Seconds until the check of the latest requests sees nothing but the fault."""
FREE_MEMORY = 1 << 28
"""Bytes that the service may use beyond what it has when its memory is limited."""
INSIDE = {"PYTHONPATH": str(Path(__file__).with_name("inside"))}
"""Settings with which signals break what `FAULT_INSIDE` names."""
JUMPING_CLOCK = {**INSIDE, "FAULT_INSIDE": "clock"}
SILENT_RESOLVER = {**INSIDE, "FAULT_INSIDE": "resolver"}
LOG_PIPELINE = {**INSIDE, "FAULT_INSIDE": "log"}
FIXED_POOL = {"DATABASE_POOL_SIZE": str(POOL), "DATABASE_MAX_OVERFLOW": "0"}
"""Settings with which the service opens no connection for a burst of requests."""
EXIT_TIMEOUT = 10.0
"""Seconds until a process that received SIGTERM must have ended."""


async def block_event_loop(env: Environment) -> None:
    """Block the event loop in a handler for three seconds."""
    env.run_in_background(env.service.get("/faults/block/3"))


async def blocking_stack_is_logged(env: Environment) -> list[str]:
    """Check that the log contains the stack that blocked the loop."""
    logged = "block_the_loop" in env.service.log.read_text()
    return [] if logged else ["the log lacks the stack that blocked the loop"]


def handler_raises(exception: str) -> Fault:
    """Return the fault of a handler that raises an exception for every request."""
    load = Load(f"/faults/raise/{exception}", 5, seconds=2)

    async def start_load(env: Environment) -> None:
        load.start(env)

    async def all_return_500(_: Environment) -> list[str]:
        return load.unexpected_codes(500)

    return Fault(
        f"Handler raises {exception} repeatedly (still ready)",
        start_load,
        ready_code=OK,
        hold=3,
        verify=all_return_500,
    )


def send_request_to(path: str) -> Action:
    """Return an action that sends a request to the service."""
    return lambda env: env.service.get(path)


def restart_after(
    break_something: Action, **settings: str
) -> Callable[[Environment], Awaitable[None]]:
    """Return an action that breaks something while the service is stopped, and then starts it."""

    def restart_broken(env: Environment) -> None:
        env.service.stop()
        break_something(env)
        env.service.start_service(env.variables | settings)

    async def restart(env: Environment) -> None:
        await asyncio.to_thread(restart_broken, env)
        await wait_until_responds(env.service, "/health/live")

    return restart


async def live_and_started(env: Environment) -> list[str]:
    """Check that a service that waits for a dependency is live and has started."""
    port = env.service.port
    codes = {
        name: (await send_probe(port, f"/health/{name}")).status_code
        for name in ("live", "startup")
    }
    return [] if codes == {"live": 200, "startup": 200} else [f"the probes returned {codes}"]


class Shutdown:
    """A shutdown with requests in flight.

    signals: how many SIGTERMs are sent. slow_request: seconds that a request in flight takes.
    exit_status: what the process must end with.
    """

    def __init__(
        self, *, signals: int = 1, slow_request: float = 2.0, exit_status: int = 0
    ) -> None:
        self.load = Load("/items", 20, method="POST", seconds=ROUTING_DELAY)
        self.signals, self.slow_request, self.exit_status = signals, slow_request, exit_status
        self.in_flight: list[asyncio.Task[int]] = []

    async def send_signals(self, env: Environment) -> None:
        """Send SIGTERM while requests are in flight and more arrive."""
        path = f"/faults/sleep/{self.slow_request:g}"
        self.in_flight = [asyncio.create_task(env.service.get(path)) for _ in range(5)]
        await asyncio.sleep(0.3)  # the service has now received them
        self.load.start(env)
        for _ in range(self.signals):
            os.kill(env.service.pid, signal.SIGTERM)
            await asyncio.sleep(0.2)

    async def all_requests_complete(self, env: Environment) -> list[str]:
        """Check that every request succeeded and that the process ended correctly."""
        codes = [await task for task in self.in_flight]
        slow = [] if set(codes) == {200} else [f"slow requests returned {codes}"]
        return self.load.unexpected_codes(201) + slow + await self.process_ends(env)

    async def process_ends(self, env: Environment) -> list[str]:
        """Check that the process ended in time, with the expected exit status."""
        await asyncio.gather(*self.in_flight)
        deadline = time.monotonic() + EXIT_TIMEOUT
        while env.service.is_running and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        status = env.service.exit_status
        return [] if status == self.exit_status else [f"the process ended with {status}"]


def shutdown_fault(
    name: str, shutdown: Shutdown, *, loses_requests: bool = False, **settings: str
) -> Fault:
    """Return the fault of a process that shuts down."""

    def start_again(env: Environment) -> None:
        env.service.stop()
        env.service.start_service(env.variables)

    return Fault(
        name,
        shutdown.send_signals,
        start_again,
        detect_within=0.5,
        recover_within=START_TIMEOUT,
        allowed_codes=frozenset({503, CONNECTION_FAILED}),
        red_is_right=DRAINING,
        verify=shutdown.process_ends if loses_requests else shutdown.all_requests_complete,
        settings=NO_LIMIT | settings,
    )


async def freeze_while_the_database_stops(env: Environment) -> None:
    """Freeze the service, stop its database, and let the service continue after 8 s."""
    os.kill(env.service.pid, signal.SIGSTOP)
    try:
        await asyncio.to_thread(env.postgres.stop)
        await asyncio.sleep(FROZEN)
    finally:
        os.kill(env.service.pid, signal.SIGCONT)


async def freeze_for_a_while(env: Environment) -> None:
    """Freeze the service for 8 s, as a hypervisor does that moves a machine."""
    os.kill(env.service.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(FROZEN)
    finally:
        os.kill(env.service.pid, signal.SIGCONT)


async def kill_and_start(env: Environment) -> None:
    """End the service with SIGKILL, as a kernel without memory does, and start it again."""
    variables = env.service.variables
    os.kill(env.service.pid, signal.SIGKILL)
    await asyncio.to_thread(env.service.stop)
    env.service.start_service(variables)
    await wait_until_responds(env.service, "/health/ready")


def limit_files(env: Environment) -> None:
    """Let the service open no file or connection beyond those that it has."""
    pid = env.service.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (env.service.open_descriptors(), hard))


def allow_files(env: Environment) -> None:
    """Let the service open as many files as the hard limit allows."""
    _, hard = resource.prlimit(env.service.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(env.service.pid, resource.RLIMIT_NOFILE, (hard, hard))


def stop_log(env: Environment) -> None:
    """Let the service write nothing more into its log, as on a full disk."""
    resource.prlimit(env.service.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def continue_log(env: Environment) -> None:
    """Let the service write into its log again."""
    unlimited = resource.RLIM_INFINITY, resource.RLIM_INFINITY
    resource.prlimit(env.service.pid, resource.RLIMIT_FSIZE, unlimited)


async def log_does_not_grow(env: Environment) -> list[str]:
    """Check that no line of the clients' requests arrives in the log."""
    size = env.service.log_size()
    for _ in range(20):
        await env.service.get("/items")
    grown = env.service.log_size() - size
    return [f"the log has grown by {grown} bytes: its pipeline is not stuck"] if grown else []


async def dropped_lines_are_counted(env: Environment) -> list[str]:
    """Check that the metrics count the log lines that could not be written."""
    metrics = await env.service.metrics()
    counted = re.search(r"^log_lines_dropped_total\S* [1-9]", metrics, re.MULTILINE)
    return [] if counted else ["the metrics do not count dropped log lines"]


def limit_memory(env: Environment) -> None:
    """Let the service use little more memory than now."""
    status = Path(f"/proc/{env.service.pid}/status").read_text()
    [size] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmSize:")]
    _, hard = resource.prlimit(env.service.pid, resource.RLIMIT_AS)
    resource.prlimit(env.service.pid, resource.RLIMIT_AS, (size * 1024 + FREE_MEMORY, hard))


def allow_memory(env: Environment) -> None:
    """Remove the limit."""
    _, hard = resource.prlimit(env.service.pid, resource.RLIMIT_AS)
    resource.prlimit(env.service.pid, resource.RLIMIT_AS, (hard, hard))


def handlers_exceed_memory() -> Fault:
    """Return the fault of handlers that need more memory than the process may use."""
    load = Load(f"/faults/bytes/{2 * FREE_MEMORY}", 5, seconds=3)

    async def start_load(env: Environment) -> None:
        limit_memory(env)
        load.start(env)

    async def all_return_500(_: Environment) -> list[str]:
        return load.unexpected_codes(500)

    return Fault(
        "Handlers need more memory than the process may use (still ready)",
        start_load,
        allow_memory,
        ready_code=OK,
        max_failures=0,
        hold=4,
        verify=all_return_500,
    )


def send_to_service(signum: signal.Signals) -> Action:
    """Return an action that sends a signal to the service."""
    return lambda env: os.kill(env.service.pid, signum)


def silence_resolver_and_disconnect(env: Environment) -> None:
    """Silence the resolver, and let the service connect to its database again."""
    os.kill(env.service.pid, signal.SIGUSR1)
    env.postgres.sql(DISCONNECT_SERVICE)


def break_four_dependencies(env: Environment) -> None:
    """Break each of four dependencies in a different way."""
    env.postgres.pause()
    env.valkey.stop()
    env.kafka.brokers_down()
    env.downstream.kill()


def repair_four_dependencies(env: Environment) -> None:
    """Resume or start each of them."""
    env.postgres.resume()
    env.valkey.start()
    env.kafka.brokers_up()
    env.downstream.start()


def freeze_every_dependency(env: Environment) -> None:
    """Freeze all servers that the service depends on."""
    for server in (env.postgres, env.valkey, env.kafka, env.downstream):
        server.pause()


def resume_every_dependency(env: Environment) -> None:
    """Resume all servers that the service depends on."""
    for server in (env.postgres, env.valkey, env.kafka, env.downstream):
        server.resume()


def cold_start(count: int) -> Fault:
    """Return the fault of more processes of the service that all start at once, with one database.

    The machine has few cores, so the fault is judged by what the clients of this process get, and
    each of the others must become ready.
    """
    others: list[HttpProcess] = []

    def start_all(env: Environment) -> None:
        others[:] = [HttpProcess(env.folder / f"{number}.log") for number in range(count)]
        for process in others:
            process.start_service(env.variables)

    async def all_become_ready(env: Environment) -> list[str]:
        async def are_ready() -> bool:
            return all([await process.passes() for process in others])

        await wait_until(are_ready, COLD_START_TIMEOUT)
        sessions = await env.database_connections()
        limit = (1 + count) * (POOL + CHECK_CONNECTIONS)
        return [f"they have {sessions} sessions"] if sessions > limit else []

    async def stop_others(_: Environment) -> None:
        await asyncio.gather(*(asyncio.to_thread(process.stop) for process in others))

    return Fault(
        f"{count} more processes start at the same time (still ready)",
        start_all,
        stop_others,
        ready_code=OK,
        allowed_codes=frozenset({503, 504, NO_RESPONSE}),
        red_is_right="the processes that start take the time of the processor",
        intermittent=True,
        verify=all_become_ready,
        recover_within=RECOVERY + 3,
    )


SERVICE = [
    Fault(
        "Handler blocks the event loop for 3 s",
        block_event_loop,
        ready_code=OK,
        hold=5,
        allowed_codes=frozenset({NO_RESPONSE}),
        verify=blocking_stack_is_logged,
    ),
    *(handler_raises(exception) for exception in EXCEPTIONS),
    Fault(
        "Every second request fails, and each one for the stock",
        send_request_to("/faults/alternate/true"),
        send_request_to("/faults/alternate/false"),
        ready_code=WARN,
        failure="requests: RequestsFailing",
        detect_within=OUTCOME_DETECTION,
        hold=6,
        intermittent=True,
    ),
    Fault(
        "10,000 tasks are leaked (still ready)",
        send_request_to("/faults/leak/10000"),
        send_request_to("/faults/leak/0"),
        ready_code=OK,
        hold=DETECTION,
    ),
    Fault(
        "Service starts before its database",
        restart_after(lambda env: env.postgres.stop()),
        lambda env: env.postgres.start(),
        detect_within=START_TIMEOUT,
        allowed_codes=frozenset({503, CONNECTION_FAILED}),
        red_is_right=DRAINING,
        verify=live_and_started,
    ),
    Fault(
        "Service starts before its Kafka topic",
        restart_after(do_nothing, KAFKA_TOPICS="items,orders"),
        lambda env: env.kafka.create_topic("orders"),
        ready_code=WARN,
        failure="kafka: TopicMissing",
        detect_within=START_TIMEOUT,
        allowed_codes=frozenset({503, CONNECTION_FAILED}),
        red_is_right=DRAINING,
        verify=live_and_started,
    ),
    shutdown_fault("SIGTERM under load", Shutdown()),
    shutdown_fault(
        "Request takes longer than the shutdown timeout",
        Shutdown(slow_request=20),
        loses_requests=True,
        SERVICE_SHUTDOWN_TIMEOUT="1",
    ),
    shutdown_fault(
        "Second SIGTERM during the shutdown",
        Shutdown(signals=2, slow_request=20, exit_status=128 + signal.SIGTERM),
        loses_requests=True,
        SERVICE_DRAIN_DELAY="60",
    ),
    Fault(
        "Four dependencies fail at the same time",
        break_four_dependencies,
        repair_four_dependencies,
        ready_code=RED,
        failure="redis: ConnectionError",
        recover_within=RECOVERY + 2,
    ),
    Fault(
        "All dependencies are frozen",
        freeze_every_dependency,
        resume_every_dependency,
        ready_code=RED,
        failure="postgres: TimeoutError",
    ),
    Fault(
        "Service is stopped (SIGSTOP) while its database goes away",
        freeze_while_the_database_stops,
        lambda env: env.postgres.start(),
        failure="postgres: ",
        detect_within=FROZEN + 1,
        allowed_codes=frozenset({NO_RESPONSE}),
    ),
    Fault(
        "Service is stopped (SIGSTOP) for 8 s",
        freeze_for_a_while,
        ready_code=OK,
        allowed_codes=frozenset({NO_RESPONSE, 503, 504}),
        hold=3,
    ),
    Fault(
        "Service is killed and starts again",
        kill_and_start,
        ready_code=OK,
        allowed_codes=frozenset({503, CONNECTION_FAILED}),
        hold=3,
    ),
    Fault(
        "Service starts while its database is frozen",
        restart_after(lambda env: env.postgres.pause()),
        lambda env: env.postgres.resume(),
        ready_code=504,
        failure="postgres: TimeoutError",
        detect_within=START_TIMEOUT + CONNECT_TIMEOUT,
        allowed_codes=frozenset({503, CONNECTION_FAILED}),
        red_is_right=DRAINING,
        verify=live_and_started,
    ),
    Fault(
        "Service starts with a password that is not valid yet",
        restart_after(lambda env: env.postgres.sql("ALTER ROLE service PASSWORD 'other'")),
        restore_password,
        failure="postgres: InvalidPasswordError",
        detect_within=START_TIMEOUT,
        allowed_codes=frozenset({503, 504, CONNECTION_FAILED}),
        red_is_right=DRAINING,
        verify=live_and_started,
    ),
    Fault(
        "Service starts before its cache",
        restart_after(lambda env: env.valkey.stop()),
        lambda env: env.valkey.start(),
        ready_code=WARN,
        failure="redis: ConnectionError",
        detect_within=START_TIMEOUT,
        allowed_codes=frozenset({503, CONNECTION_FAILED}),
        red_is_right=DRAINING,
        verify=live_and_started,
    ),
    Fault(
        "Service cannot open more files",
        limit_files,
        allow_files,
        ready_code=OK,
        allowed_codes=frozenset({NO_RESPONSE, CONNECTION_FAILED}),
        hold=4,
        red_is_right="new clients cannot connect either: only kept connections work",
        settings=FIXED_POOL,
        recover_within=RECOVERY + 1,
    ),
    Fault(
        "Log cannot be written, as on a full disk (still ready)",
        stop_log,
        continue_log,
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
        verify=dropped_lines_are_counted,
    ),
    Fault(
        "Log pipeline is stuck: nobody reads the pipe (still ready)",
        send_to_service(signal.SIGUSR1),
        send_to_service(signal.SIGUSR2),
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
        verify=log_does_not_grow,
        settings=LOG_PIPELINE,
    ),
    cold_start(10),
    handlers_exceed_memory(),
    *(
        Fault(
            f"Wall clock jumps {direction} by an hour (still ready)",
            send_to_service(there),
            send_to_service(back),
            ready_code=OK,
            max_failures=0,
            hold=DETECTION,
            settings=JUMPING_CLOCK,
        )
        for direction, there, back in (
            ("forward", signal.SIGUSR1, signal.SIGUSR2),
            ("backward", signal.SIGUSR2, signal.SIGUSR1),
        )
    ),
    Fault(
        "Resolver is silent, and the open connections work (still ready)",
        send_to_service(signal.SIGUSR1),
        send_to_service(signal.SIGUSR2),
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
        settings=SILENT_RESOLVER | FIXED_POOL,
        needs=cannot_mount,
    ),
    Fault(
        "Resolver is silent, and the service has to connect again",
        silence_resolver_and_disconnect,
        send_to_service(signal.SIGUSR2),
        ready_code=RED,
        failure="postgres: TimeoutError",
        settings=SILENT_RESOLVER,
        needs=cannot_mount,
    ),
]
