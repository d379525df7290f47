"""Fuzz a service in batches, and check it after each of them."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .client import Conversation, converse
from .judge import deletes, disagreement, permitted_names, understand_stream
from .requests import Requests, Stream
from .strict_parser import Meaning
from .target import SECRET, Target

AT_THE_SAME_TIME = 50
CONVERSATION_TIMEOUT = 120.0
"""Seconds for one connection, on a busy machine."""
CANARY = "canary"
BATCH = 250
"""Connections of one batch. The store in memory keeps 1,000 items."""


@dataclass
class Result:
    """What a run has seen so far."""

    connections: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    resets: int = 0
    items: int = 0
    findings: list[str] = field(default_factory=list)


class Outcome(NamedTuple):
    """What one client has sent and received. fault: why its conversation did not end."""

    stream: Stream
    meaning: Meaning
    received: Conversation
    fault: str


def run_batch(target: Target, seed: str, size: int, result: Result) -> None:
    """Send the connections of one batch, and check the answers, the items and the log."""
    canary = target.create(CANARY)
    requests = Requests(seed, canary.encode())
    streams = [requests.stream() for _ in range(size)]
    outcomes = asyncio.run(_converse_all(target.port, streams))
    permitted, created = Counter[str](), Counter[str]()
    is_deleted = False
    for number, (stream, meaning, received, fault) in enumerate(outcomes):
        wrong = fault or disagreement(stream, meaning, received, SECRET.encode())
        if wrong:
            sent = _shortened(stream.packets)
            answered = _shortened([received.received])
            report = f"{wrong} [{stream.kind}, {stream.ending}]\n  sent {sent}\n  got {answered}"
            result.findings.append(f"batch {seed}, connection {number}: {report}")
        names = stream.names if stream.names is not None else permitted_names(meaning)
        permitted.update(names)
        is_deleted |= deletes(meaning, canary)
        result.connections[stream.kind] += 1
        result.requests += len(meaning.requests)
        result.resets += received.reset
        for answer in received.answers:
            result.answers[answer.status] += 1
            created[answer.body.decode("latin-1")] += answer.status == 201
    remaining = None if is_deleted else canary
    faults = list(_check_items(target, permitted, created.total(), remaining))
    target.request(canary, "DELETE")
    result.findings += [f"batch {seed}: {each}" for each in faults]
    result.items += created.total()
    result.findings += [f"batch {seed}: log: {line}" for line in _leaks(target.new_log())]
    if growth := target.growth():
        result.findings.append(f"batch {seed}: {growth}")


async def _converse_all(port: int, streams: Iterable[Stream]) -> list[Outcome]:
    gate = asyncio.Semaphore(AT_THE_SAME_TIME)

    async def converse_one(stream: Stream) -> Outcome:
        meaning = understand_stream(stream)
        received = Conversation(meaning.methods)
        expected = len(meaning.requests) if meaning.end == "wait" else None
        fault = ""
        async with gate:
            try:
                async with asyncio.timeout(CONVERSATION_TIMEOUT):
                    await converse(port, stream, received, expected)
            except TimeoutError:
                fault = "no end"
        return Outcome(stream, meaning, received, fault)

    return await asyncio.gather(*map(converse_one, streams))


def _check_items(
    target: Target, permitted: Counter[str], created: int, canary: str | None
) -> Iterator[str]:
    """Yield what is wrong with the items that exist now, and delete them.

    permitted: the names of those that may exist, and how many of each. created: how many there
    are at least. canary: the path of the item that must still exist, if there is one.
    """
    items = {f"/items/{item['id']}": item["name"] for item in target.items()}
    if canary and canary not in items:
        yield "the item that no request may delete is gone"
    others = {path: name for path, name in items.items() if name != CANARY}
    for path, name in others.items():
        if name not in permitted:
            yield f"the item {name!r} was created by no well-formed request"
        target.request(path, "DELETE")
    if len(others) < created:
        yield f"{created} items were created, and {len(others)} exist"
    if repeated := list(Counter(others.values()) - permitted):
        yield f"items were created twice: {repeated[:5]}"


def _leaks(log: str) -> list[str]:
    return [line[:500] for line in log.splitlines() if "Traceback" in line or SECRET in line][:3]


def _shortened(parts: Iterable[bytes]) -> str:
    text = repr(list(parts))
    return text if len(text) < 3000 else f"{text[:1500]} … {text[-1500:]}"
