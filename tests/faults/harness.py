"""Injects a fault into a running service, watches the probes, heals it, and judges what it saw."""

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field

from .environment import Rig
from .probe_client import PATIENCE, SILENT, Answer, Probe

OK = 200
DETECTION = 5 + 3 * 0.5 + 0.3
"""Seconds in which an idle service notices: an interval, three timeouts, the back-off between."""
TRAFFIC = 1 + 3 * 0.5 + 0.3
"""The same where a request has failed: evidence is looked into within a second."""
AT_ONCE = 5 + 0.5
"""The same for what is not worth another try: an interval and one attempt."""
RECOVERY = 2.0
SLACK = 1.5
"""Seconds by which a busy machine, and asking ten times a second, may be late."""
SETTLED = 1.0
"""Seconds for which an answer has to stay the same."""

Act = Callable[[Rig], object]
"""Does something to a rig: a function that may block, or one that returns an awaitable."""


def nothing(_: Rig) -> None:
    """Do nothing: what was injected heals by itself, or is none."""


@dataclass(frozen=True)
class Fault:
    """What is broken, how, and what the probes have to answer meanwhile.

    ready: its code while the fault lasts. 200 says that the service can do its work all the same,
        and then a single other answer is a false alarm.
    blames: what `?verbose` has to say while the fault lasts, as "postgres: TimeoutError".
    within, back: seconds until `ready` has to have turned, and turned back after healing.
    hold: seconds that it lasts after `ready` has turned, or in all where it must not turn.
    also: further answers that are no shortfall while the fault lasts, as REFUSED from a process
        that has ended.
    examine: returns a sentence for each further thing that is not as it should be, while it lasts.
    settings: of the service, over the rig's.
    """

    name: str
    inject: Act
    heal: Act = nothing
    ready: int = 503
    blames: str = ""
    warns: bool = False
    within: float = DETECTION
    back: float = RECOVERY
    hold: float = SETTLED
    also: frozenset[int] = frozenset()
    examine: Callable[[Rig], Awaitable[list[str]]] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Resources:
    """What the service holds: tasks, open files, connections to its database."""

    tasks: int
    descriptors: int
    connections: int

    @classmethod
    async def of(cls, rig: Rig) -> "Resources":
        """Count them."""
        service = rig.service
        return cls(await service.tasks(), service.descriptors(), await rig.connections())

    def within(self, other: "Resources") -> bool:
        """Tell whether nothing has grown."""
        return all(
            mine <= theirs for mine, theirs in zip(*map(_values, (self, other)), strict=True)
        )


@dataclass
class Result:
    """One row of the truth table. Times are seconds since the injection, durations seconds."""

    name: str
    group: str
    ready: int
    blames: str
    within: float
    back: float
    detected: float | None = None
    recovered: float | None = None
    healing: float = 0.0
    """When mending began; recovery is counted from `healed`, when it was done."""
    healed: float = 0.0
    ended: float = 0.0
    slowest: float = 0.0
    before: Resources | None = None
    after: Resources | None = None
    said: list[str] = field(default_factory=list)
    """What `?verbose` said while it lasted."""
    timelines: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """For each probe the moments at which its answer changed, and to which code."""
    shortfalls: list[str] = field(default_factory=list)


async def run(fault: Fault, rig: Rig, group: str) -> Result:
    """Play one fault from a service that is well to one that is well again, and judge it."""
    result = Result(fault.name, group, fault.ready, fault.blames, fault.within, fault.back)
    await rig.ready(fault.settings)
    result.before = await _most(rig)
    probes = rig.probes
    async with _polled(probes):
        await _until(lambda: all(len(probe.answers) > 2 for probe in probes.values()), 10)
        injected = time.monotonic()
        await _do(fault.inject, rig)
        if fault.ready != OK:
            ready = probes["ready"]
            await _until(
                lambda: _since(ready.answers, fault.ready, fault.also) is not None,
                fault.within + SLACK + 1,
            )
        await asyncio.sleep(fault.hold)
        result.said = [line for line in await rig.service.verbose() if not line.startswith("[+]")]
        if fault.examine is not None:
            result.shortfalls += await fault.examine(rig)
        healing = time.monotonic()
        await _do(fault.heal, rig)
        healed = time.monotonic()
        await _until(
            lambda: _since(probes["ready"].since(healing), OK) is not None, fault.back + SLACK + 1
        )
        await asyncio.sleep(SETTLED)
    await rig.quiet()
    result.after = await _shrunk(rig, result.before)
    _judge(fault, result, probes, (injected, healing, healed))
    return result


def _judge(
    fault: Fault, result: Result, probes: Mapping[str, Probe], times: tuple[float, float, float]
) -> None:
    """Write down what was seen, and each way in which it falls short."""
    injected, healing, healed = times
    ready = probes["ready"]
    lasting = [each for each in ready.answers if injected <= each.at < healing]
    turned = _since(lasting, fault.ready, fault.also)
    back = _since(ready.since(healing), OK)
    result.healing, result.healed = healing - injected, healed - injected
    result.ended = time.monotonic() - injected
    result.recovered = None if back is None else max(0.0, back - healed)
    for name, probe in probes.items():
        result.timelines[name] = list(_changes(probe.answers, injected))
    ours = [answer for name in ("startup", "ready", "live") for answer in probes[name].answers]
    result.slowest = max(answer.took for answer in ours)
    result.shortfalls += [
        *_false_alarms(fault, probes, times),
        *_silence(fault, ours),
    ]
    if fault.ready != OK:
        result.detected = None if turned is None else turned - injected
        if result.detected is None:
            result.shortfalls.append(f"ready never answered {fault.ready} and kept to it")
        elif result.detected > fault.within + SLACK:
            result.shortfalls.append(f"ready took {result.detected:.1f} s to turn")
    if fault.warns and not any(answer.warns for answer in ready.since(injected)):
        result.shortfalls.append("ready did not warn")
    check, _, error = fault.blames.partition(": ")
    if not any(check in line and error in line for line in result.said) and fault.blames:
        result.shortfalls.append(f"?verbose did not blame {fault.blames}, but said {result.said}")
    if result.recovered is None:
        result.shortfalls.append("ready did not come back")
    elif result.recovered > fault.back + SLACK:
        result.shortfalls.append(f"ready took {result.recovered:.1f} s to come back")
    if result.before and result.after and not result.after.within(result.before):
        result.shortfalls.append(f"it left something behind: {result.before} → {result.after}")


def _false_alarms(
    fault: Fault, probes: Mapping[str, Probe], times: tuple[float, float, float]
) -> Iterator[str]:
    """Yield a sentence for each probe that was red where it had no reason to be."""
    injected = times[0]
    for name in ("startup", "ready", "live"):
        answers = probes[name].answers
        allowed = {OK, *fault.also}
        if name == "ready" and fault.ready != OK:
            allowed |= {503, 504}
        lasting = [each for each in answers if injected <= each.at]
        wrong = [each for each in answers if each.at < injected and each.code != OK]
        wrong += [each for each in lasting if each.code not in allowed]
        if wrong:
            codes = sorted({each.code for each in wrong})
            when = wrong[0].at - injected
            yield f"{name} answered {codes} {len(wrong)} times, first at {when:.1f} s"


def _silence(fault: Fault, answers: list[Answer]) -> Iterator[str]:
    slow = [answer for answer in answers if answer.took >= PATIENCE]
    if slow and SILENT not in fault.also:
        yield f"{len(slow)} probes had no answer within {PATIENCE:g} s"


def _since(answers: list[Answer], code: int, also: frozenset[int] = frozenset()) -> float | None:
    """Return since when a probe has answered with this code, and with none but it and `also`."""
    since = None
    for answer in answers:
        if answer.code == code:
            since = answer.at if since is None else since
        elif answer.code not in also:
            since = None
    return since


def _changes(answers: list[Answer], zero: float) -> Iterator[tuple[float, int]]:
    """Yield when the answers changed, and to what; a warning is told as 299."""
    last = None
    for answer in answers:
        code = 299 if answer.warns else answer.code
        if code != last:
            yield round(answer.at + answer.took - zero, 2), code
            last = code


@contextlib.asynccontextmanager
async def _polled(probes: Mapping[str, Probe]) -> AsyncIterator[None]:
    """Poll the probes meanwhile."""
    tasks = [asyncio.create_task(probe.poll()) for probe in probes.values()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _do(act: Act, rig: Rig) -> None:
    done = act(rig) if inspect.iscoroutinefunction(act) else await asyncio.to_thread(act, rig)
    if inspect.isawaitable(done):
        await done


async def _until(condition: Callable[[], bool], within: float) -> None:
    """Wait until the condition holds, or has not come to hold in time: judging comes later."""
    deadline = time.monotonic() + within
    while not condition() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


async def _most(rig: Rig) -> Resources:
    """Return the most that a service holds at rest: attempts come and go."""
    seen = []
    for _ in range(10):
        seen.append(await Resources.of(rig))
        await asyncio.sleep(0.1)
    return Resources(*(max(column) for column in zip(*map(_values, seen), strict=True)))


async def _shrunk(rig: Rig, before: Resources) -> Resources:
    """Return what the service holds as soon as it is no more than before, or after a while."""
    for _ in range(100):
        after = await Resources.of(rig)
        if after.within(before):
            break
        await asyncio.sleep(0.1)
    return after


def _values(resources: Resources) -> tuple[int, int, int]:
    return resources.tasks, resources.descriptors, resources.connections
