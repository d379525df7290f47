"""Thousands of malformed and ambiguous requests: two parsers agree, or the service rejects them."""

import asyncio
import contextlib
import json
import os
import re
from dataclasses import dataclass, field

from ..conftest import StartService
from .request_mutations import MARKER, Requests
from .second_parser import Meaning, Understood, fields_of, understand

CONNECTIONS = int(os.environ.get("FUZZ_CONNECTIONS", "1500"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
AT_THE_SAME_TIME = 50
LATE = 30.0
"""Maximum seconds for one connection on a busy machine."""
HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r]*\r\n(?:[^\r]+\r\n)*\r\n")
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n")


@dataclass
class Conversation:
    """What a client received: the status and the body of each answer."""

    answers: list[tuple[int, bytes]] = field(default_factory=list)
    closed: bool = False
    reset: bool = False
    rest: bytes = b""

    def add(self, data: bytes) -> None:
        self.closed = not data
        self.rest += data
        while head := HEAD.match(self.rest):
            length = LENGTH.search(head[0])
            end = head.end() + (int(length[1]) if length else 0)
            if len(self.rest) < end:
                return
            if not head[1].startswith(b"1"):
                self.answers.append((int(head[1]), self.rest[head.end() : end]))
            self.rest = self.rest[end:]

    def is_complete(self, meaning: Meaning) -> bool:
        """Whether the connection stays open, and nothing more is expected."""
        rejected = any(status >= 400 for status, _ in self.answers)
        return meaning.end == "wait" and len(self.answers) == len(meaning.requests) and not rejected


async def converse(
    port: int, packets: list[bytes], meaning: Meaning, received: Conversation
) -> None:
    """Send packets, and receive until the connection ends or nothing more is expected."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        try:
            for packet in packets:
                writer.write(packet)
                await asyncio.sleep(0)
            while not received.closed and not received.is_complete(meaning):
                received.add(await reader.read(65536))
        except ConnectionError:
            received.closed = received.reset = True


def disagreement(meaning: Meaning, received: Conversation) -> str:
    """Return what a client was answered wrongly, or "". A rejection is right, and the last."""
    understood = iter(meaning.requests)
    for number, (status, body) in enumerate(received.answers, start=1):
        if 400 <= status < 500 and received.closed and number == len(received.answers):
            return ""
        request = next(understood, None)
        if request is None:
            return "answered more than was requested"
        if status >= 500 or not is_echo_of(request, body):
            return "failed, or understood another request"
    if any(understood):
        return "" if received.reset and meaning.ignored else "closed without an answer"
    return "did not reject" if meaning.end == "rejection" else ""


def is_echo_of(request: Understood, body: bytes) -> bool:
    """Return whether /faults/echo understood the request, or the request is for another path."""
    if not str(request[1]).startswith(f"{MARKER}/"):
        return True
    method, target, headers, text = json.loads(body)
    return [method, target, fields_of(headers), text] == request


async def test_random_requests_are_understood_as_by_a_second_parser(
    start_service: StartService,
) -> None:
    service = start_service(
        SERVICE_HEADER_TIMEOUT=2, SERVICE_IO_TIMEOUT=2, SERVICE_CONCURRENCY_LIMIT=1000
    )
    service.until_ready()
    requests = Requests(SEED)
    streams = [requests.connection(number) for number in range(CONNECTIONS)]
    packets = [requests.packets(stream) for stream in streams]
    meanings = [understand(stream) for stream in streams]
    gate = asyncio.Semaphore(AT_THE_SAME_TIME)

    async def judge(sent: list[bytes], meaning: Meaning) -> str:
        received = Conversation()
        async with gate:
            try:
                async with asyncio.timeout(LATE):
                    await converse(service.port, sent, meaning, received)
                fault = disagreement(meaning, received)
            except TimeoutError:
                fault = "no end"
        return fault and f"{fault}:\n{sent}\n{meaning}\n{received}"

    faults = [each for each in await asyncio.gather(*map(judge, packets, meanings)) if each]
    assert not faults, f"{len(faults)} of {CONNECTIONS}:\n\n" + "\n\n".join(faults[:5])
    executed = service.api.get("/faults/echoed").json()
    assert set(executed) <= {request[1] for meaning in meanings for request in meaning.requests}
    assert len(executed) > CONNECTIONS / 2
    assert service.probe("ready") == 200
