"""Inject a fault into a running service, watch its probes and its clients, repair it, and judge."""

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .clients import Kind, running_clients
from .environment import Environment
from .probe_client import NO_RESPONSE, OK, PROBE_TIMEOUT, WARN, Probe, ProbeResponse
from .truth import Judge, State, state_at, state_changes

DETECTION = 5 + 3 * 0.5 + 0.3
"""Seconds until an idle service detects a failure: one interval, three timeouts, back-off."""
TRAFFIC_DETECTION = 1 + 3 * 0.5 + 0.3
"""The same after a request has failed: the next attempt then starts within one second."""
PERMANENT_DETECTION = 5 + 0.5
"""The same for failures that are not retried: one interval and one attempt."""
RECOVERY = 2.0
TOLERANCE = 1.5
"""Extra seconds for a busy machine and for the poll interval."""
STABLE = 1.0
"""Seconds during which a response must not change again."""
OUTCOME_INTERVAL = 1.0
"""Seconds between two looks of the check `requests` at the latest requests."""
LAST_WARNING = 20.0
"""Seconds after the repair until no check may warn anymore, except that of recent requests."""
CHECK_CONNECTIONS = 2
"""Connections to the database that the checks have, beside the pool."""
SPARE = 2
"""Tasks and files that the service may have more. Its producer connects to each of three brokers
when it has a message for that one, with a task and a file for each connection."""
MAX_SETTLING = 10.0
"""Seconds to wait until the service holds no more resources than before."""
BASELINE = ("healthz", "readyz")

Action = Callable[[Environment], object]
"""Changes the environment: a function that may block, or one that returns an awaitable."""


def do_nothing(_: Environment) -> None:
    """Do nothing: the fault ends by itself, or there is no fault."""


@dataclass(frozen=True)
class Fault:
    """What is broken, how, and what the probes must return.

    ready_code: what `ready` must return during the fault; RED: 503 or 504, whichever comes first.
        200 or WARN means that the core work still succeeds, and then 503 is a false alarm.
    clients: what exactly the clients must get during the fault. By default it follows from
        `ready_code` whether the core work must succeed or fail.
    failure: what `?verbose` must contain during the fault, for example "postgres: TimeoutError".
    detect_within, recover_within: seconds until `ready` must change, and until it must return 200
        after the repair.
    hold: seconds that the fault lasts after `ready` has changed, or in total if it must not change.
    allowed_codes: further codes that are no error during the fault, for example CONNECTION_FAILED
        from a process that has ended.
    red_is_right, green_is_right: why `ready` may be red although the clients succeed, or green
        although they fail. These are the only exemptions from the comparison with the clients. If
        half of the requests fail, a green `ready` must still warn.
    intermittent: each client's requests fail now and then, so that their state at one instant says
        nothing.
    idle: no clients send requests, so the failure is detected by the interval alone.
    max_failures: how many requests of clients may fail before the repair. None: any number.
    needs: returns why the fault cannot be injected on this machine, or an empty string.
    verify: returns one sentence per additional error, during the fault.
    settings: environment variables of the service, over the default ones.
    """

    name: str
    inject: Action
    repair: Action = do_nothing
    ready_code: int = 503
    clients: State | None = None
    failure: str = ""
    detect_within: float = DETECTION
    recover_within: float = RECOVERY
    hold: float = STABLE
    allowed_codes: frozenset[int] = frozenset()
    red_is_right: str = ""
    green_is_right: str = ""
    intermittent: bool = False
    idle: bool = False
    max_failures: int | None = None
    needs: Callable[[], str] = lambda: ""
    verify: Callable[[Environment], Awaitable[list[str]]] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def must_turn_red(self) -> bool:
        """Whether `ready` must take the service out of rotation."""
        return self.ready_code not in (OK, WARN)

    def expects(self, state: State) -> bool:
        """Return whether the clients may get this just before the repair."""
        if self.intermittent:
            return True
        if self.red_is_right and self.must_turn_red and state.core_works:
            return True
        if self.clients is not None:
            return state is self.clients
        return state.core_works is not self.must_turn_red

    @property
    def expected_state(self) -> State:
        """What the clients must get just before the repair."""
        return self.clients or (State.DOWN if self.must_turn_red else State.WORKS)


@dataclass
class Resources:
    """What the service holds: tasks, open files, connections to its database and to Redis."""

    tasks: int
    descriptors: int
    connections: int
    redis: int

    @classmethod
    async def count(cls, env: Environment) -> "Resources":
        """Count the resources that the service holds now."""
        service = env.service
        return cls(
            await service.task_count(),
            service.open_descriptors(),
            await env.database_connections(),
            service.connections_to(urlsplit(service.variables.get("REDIS_URL", "")).port or 0),
        )

    def highest(self, other: "Resources") -> "Resources":
        """Return the higher one of each count."""
        return Resources(
            max(self.tasks, other.tasks),
            max(self.descriptors, other.descriptors),
            max(self.connections, other.connections),
            max(self.redis, other.redis),
        )

    @property
    def other_descriptors(self) -> int:
        """The open files that are not connections of a pool, which keeps them for a burst."""
        return self.descriptors - self.connections - self.redis

    def exceed(self, other: "Resources", kept: int) -> bool:
        """Return whether any count is higher than in the other resources, beyond `SPARE`.

        kept: connections to the database that stay open, although few may have been needed before.
        """
        return (
            self.tasks > other.tasks + SPARE
            or self.other_descriptors > other.other_descriptors + SPARE
            or self.connections > max(other.connections, kept)
        )


@dataclass(frozen=True)
class Requests:
    """What the clients got for one kind of request. slowest_success: seconds."""

    sent: int
    failed: int
    slowest_success: float


@dataclass
class Result:
    """One row of the truth table. Times are seconds since the injection, durations are seconds."""

    name: str
    group: str
    ready_code: int
    failure: str
    detect_within: float
    recover_within: float
    expected_state: str
    exemption: str
    detected_after: float | None = None
    recovered_after: float | None = None
    """Counted from `repaired`."""
    repair_started: float = 0.0
    repaired: float = 0.0
    ended: float = 0.0
    slowest_response: float = 0.0
    resources_before: Resources | None = None
    resources_after: Resources | None = None
    verbose_report: list[str] = field(default_factory=list)
    """The lines of `?verbose` about failing checks, during the fault."""
    check_changes: list[tuple[float, str]] = field(default_factory=list)
    """When checks changed their status or error from the injection on, as the service logged it."""
    timelines: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """For each probe: the times at which its response changed, and the new code."""
    client_state: str = ""
    """What the clients got just before the repair. Empty if there were no clients."""
    client_timeline: list[tuple[float, str]] = field(default_factory=list)
    """The times at which that changed, and the new state."""
    requests: dict[str, Requests] = field(default_factory=dict)
    """By kind of request, from the injection to the repair."""
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """For each readiness probe: how it disagreed with the clients, one sentence each."""
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Observation:
    """All that was seen of one fault. Times are seconds of `time.monotonic`."""

    probes: Mapping[str, Probe]
    kinds: Sequence[Kind]
    injected: float
    repair_started: float
    repaired: float


async def run_fault(fault: Fault, env: Environment, group: str) -> Result:
    """Inject a fault into a ready service, repair it, wait until it is ready again, and judge."""
    result = Result(
        fault.name,
        group,
        fault.ready_code,
        fault.failure,
        fault.detect_within,
        fault.recover_within,
        str(fault.expected_state),
        fault.red_is_right or fault.green_is_right,
    )
    await env.ensure_ready(fault.settings)
    result.resources_before = await _settled_resources(env)
    probes = env.new_probes()
    kinds = [] if fault.idle else env.new_clients()
    ready = probes["ready"]
    async with _polling(probes), running_clients(kinds, env.service.port):
        await _wait_for(lambda: all(len(each.responses) > 2 for each in probes.values()), 10)
        await _wait_for(lambda: all(len(each.responses) > 1 for each in kinds), 10)
        log_size, injected, injected_at = env.service.log_size(), time.monotonic(), time.time()
        await _perform(fault.inject, env)
        if fault.ready_code != OK:
            await _wait_for(
                lambda: (
                    _start_of_last_run(ready.responses, fault.ready_code, fault.allowed_codes)
                    is not None
                    and _clients_agree(fault, kinds, time.monotonic())
                ),
                fault.detect_within + TOLERANCE + 1,
            )
        await asyncio.sleep(fault.hold)
        result.verbose_report = await _failing_checks(fault, env)
        shown = await env.service.pages()
        if fault.verify is not None:
            result.errors += await fault.verify(env)
        repair_started = time.monotonic()
        await _perform(fault.repair, env)
        repaired = time.monotonic()
        await _wait_for(
            lambda: (
                _start_of_last_run(ready.responses_since(repair_started), OK) is not None
                and state_at(kinds, time.monotonic()) is State.WORKS
            ),
            fault.recover_within + TOLERANCE + 1,
        )
        await asyncio.sleep(STABLE)
    await env.wait_for_background_work()
    await _check_resources(result, env)
    await _check_passes(result, env)
    written = "\n".join([shown, await env.service.pages(), env.service.read_log(log_size)])
    for line in env.service.find_secrets(written):
        result.errors.append(f"a secret is shown: {line}")
    result.check_changes = [
        (round(at - injected_at, 2), text) for at, text in env.service.check_changes(log_size)
    ]
    seen = Observation(probes, kinds, injected, repair_started, repaired)
    _check_responses(fault, result, seen)
    _compare_with_clients(fault, result, seen)
    return result


async def _failing_checks(fault: Fault, env: Environment) -> list[str]:
    """Return the lines of `?verbose` about failing checks, once they contain the failure."""
    deadline = time.monotonic() + fault.detect_within
    while True:
        report = await env.service.verbose_report()
        failing = [line for line in report if not line.startswith("[+]")]
        if _names_failure(fault, failing) or time.monotonic() > deadline:
            return failing
        await asyncio.sleep(0.2)


def _names_failure(fault: Fault, report: list[str]) -> bool:
    check, _, error = fault.failure.partition(": ")
    return not fault.failure or any(check in line and error in line for line in report)


def _clients_agree(fault: Fault, kinds: Sequence[Kind], instant: float) -> bool:
    return fault.idle or fault.expects(state_at(kinds, instant))


def _check_responses(fault: Fault, result: Result, seen: Observation) -> None:
    """Fill the result in, with one error for each difference from what the fault expects."""
    probes, injected, repair_started = seen.probes, seen.injected, seen.repair_started
    ready = probes["ready"]
    during = [each for each in ready.responses if injected <= each.sent_at < repair_started]
    changed = _start_of_last_run(during, fault.ready_code, fault.allowed_codes)
    recovered = _start_of_last_run(ready.responses_since(repair_started), OK)
    result.repair_started, result.repaired = repair_started - injected, seen.repaired - injected
    result.ended = time.monotonic() - injected
    result.recovered_after = None if recovered is None else max(0.0, recovered - seen.repaired)
    for name, probe in probes.items():
        result.timelines[name] = list(_changes(probe.responses, injected))
    responses = [each for name in ("startup", "ready", "live") for each in probes[name].responses]
    result.slowest_response = max(each.duration for each in responses)
    result.errors += [
        *_unexpected_codes(fault, probes, injected),
        *_missing_responses(fault, responses),
    ]
    if fault.ready_code != OK:
        result.detected_after = None if changed is None else changed - injected
        if result.detected_after is None:
            result.errors.append(f"ready did not settle on {fault.ready_code}")
        elif result.detected_after > fault.detect_within + TOLERANCE:
            result.errors.append(f"ready changed only after {result.detected_after:.1f} s")
    if not _names_failure(fault, result.verbose_report):
        result.errors.append(f"?verbose lacks {fault.failure}: {result.verbose_report}")
    if result.recovered_after is None:
        result.errors.append("ready did not recover")
    elif result.recovered_after > fault.recover_within + TOLERANCE:
        result.errors.append(f"ready recovered only after {result.recovered_after:.1f} s")


def _compare_with_clients(fault: Fault, result: Result, seen: Observation) -> None:
    """Hold the probes to what the clients got, with one error for each difference."""
    if not seen.kinds:
        return
    start = min(kind.responses[0].sent_at for kind in seen.kinds)
    result.client_timeline = [
        (round(at - seen.injected, 2), str(state)) for at, state in state_changes(seen.kinds, start)
    ]
    state = state_at(seen.kinds, seen.repair_started)
    result.client_state = str(state)
    for kind in seen.kinds:
        during = [
            each for each in kind.responses if seen.injected <= each.sent_at < seen.repair_started
        ]
        result.requests[kind.name] = Requests(
            len(during),
            sum(not each.succeeded for each in during),
            max((each.duration for each in during if each.succeeded), default=0.0),
        )
    if not fault.expects(state):
        result.errors.append(f"clients got {state}, and the fault expects {fault.expected_state}")
    failed = sum(counts.failed for counts in result.requests.values())
    if fault.max_failures is not None and failed > fault.max_failures:
        result.errors.append(f"{failed} requests failed")
    judge = Judge(
        TRAFFIC_DETECTION + TOLERANCE,
        max(RECOVERY, fault.recover_within) + TOLERANCE,
        max(DETECTION, fault.detect_within) + TOLERANCE,
        OUTCOME_INTERVAL + TOLERANCE,
    )
    responses = seen.probes["ready"].responses
    result.wrong["ready"] = [
        *judge.lies(responses, seen.kinds, green_is_right=bool(fault.green_is_right)),
        *([] if fault.red_is_right else judge.false_alarms(responses, seen.kinds)),
    ]
    result.errors += result.wrong["ready"]
    for name in BASELINE:
        result.wrong[name] = _wrong_before_repair(seen, name, state)


def _wrong_before_repair(seen: Observation, name: str, state: State) -> list[str]:
    """Return how a probe of the baseline disagreed with the clients, in a word.

    Only its last response before the repair counts: by then, every probe has had time to change.
    """
    before = [each for each in seen.probes[name].responses if each.sent_at < seen.repair_started]
    code = before[-1].status_code
    if state.core_works:
        return [] if code == OK else ["red"]
    return ["green"] if code == OK else ["no response"] if code == NO_RESPONSE else []


def _unexpected_codes(fault: Fault, probes: Mapping[str, Probe], injected: float) -> Iterator[str]:
    """Yield one sentence for each probe that returned a code that the fault does not explain."""
    for name in ("startup", "ready", "live"):
        responses = probes[name].responses
        allowed = {OK, *fault.allowed_codes}
        if name == "ready" and fault.must_turn_red:
            allowed |= {503, 504}
        before = [each for each in responses if each.sent_at + each.duration < injected]
        during = responses[len(before) :]
        wrong = [each for each in before if each.status_code != OK]
        wrong += [each for each in during if each.status_code not in allowed]
        if wrong:
            codes = sorted({each.status_code for each in wrong})
            first = wrong[0].sent_at - injected
            yield f"{name} returned {codes} {len(wrong)} times, first at {first:.1f} s"


def _missing_responses(fault: Fault, responses: list[ProbeResponse]) -> Iterator[str]:
    slow = [each for each in responses if each.duration >= PROBE_TIMEOUT]
    if slow and NO_RESPONSE not in fault.allowed_codes:
        yield f"{len(slow)} probes had no response within {PROBE_TIMEOUT:g} s"


def _start_of_last_run(
    responses: list[ProbeResponse], code: int, ignored: frozenset[int] = frozenset()
) -> float | None:
    """Return when a probe began to return a code without interruption, or None.

    Responses with ignored codes do not interrupt.
    """
    start = None
    for response in responses:
        if response.matches(code):
            start = response.sent_at if start is None else start
        elif response.status_code not in ignored:
            start = None
    return start


def _changes(responses: list[ProbeResponse], zero: float) -> Iterator[tuple[float, int]]:
    """Yield when the responses changed, and the new code."""
    last = None
    for response in responses:
        code = response.code_or_warn
        if code != last:
            yield round(response.sent_at + response.duration - zero, 2), code
            last = code


@contextlib.asynccontextmanager
async def _polling(probes: Mapping[str, Probe]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(probe.poll()) for probe in probes.values()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _perform(action: Action, env: Environment) -> None:
    blocking = not inspect.iscoroutinefunction(action)
    result = await asyncio.to_thread(action, env) if blocking else action(env)
    if inspect.isawaitable(result):
        await result


async def _wait_for(condition: Callable[[], bool], timeout: float) -> None:  # noqa: ASYNC109 - see below
    """Wait until a condition holds or the timeout is over. `_check_responses` tells which."""
    deadline = time.monotonic() + timeout
    while not condition() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


async def _settled_resources(env: Environment) -> Resources:
    """Return the highest counts of an idle service, once they have not grown for a second.

    Clients of Kafka and Redis connect late, and attempts come and go.
    """
    highest = await Resources.count(env)
    settled_at = time.monotonic() + STABLE
    deadline = settled_at + MAX_SETTLING
    while time.monotonic() < min(settled_at, deadline):
        await asyncio.sleep(0.1)
        highest, previous = highest.highest(await Resources.count(env)), highest
        if highest != previous:
            settled_at = time.monotonic() + STABLE
    return highest


async def _check_passes(result: Result, env: Environment) -> None:
    """Wait until every check passes, or report those that do not, after `LAST_WARNING`."""
    deadline = time.monotonic() + LAST_WARNING
    while not await env.service.passes():
        if time.monotonic() > deadline:
            report = [line for line in await env.service.verbose_report() if line[:3] != "[+]"]
            result.errors.append(f"not all checks pass after the repair: {report}")
            return
        await asyncio.sleep(0.1)


async def _check_resources(result: Result, env: Environment) -> None:
    """Count until no count exceeds those before, or report a leak after ten seconds."""
    before = result.resources_before
    assert before
    kept = int(env.service.variables["DATABASE_POOL_SIZE"]) + CHECK_CONNECTIONS
    for _ in range(100):
        after = result.resources_after = await Resources.count(env)
        if not after.exceed(before, kept):
            return
        await asyncio.sleep(0.1)
    result.errors.append(f"resources leaked: {before} → {after}")
