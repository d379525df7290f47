"""Many large bodies that never end, through real sockets: they share a bounded memory."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ..conftest import StartService
from ..domain import PATH
from ..processes import Service, eventually

CLIENTS = 450
DECLARED, SENT = 1_048_576, 1_000_000  # bytes of each body
PART = b"x" * 50_000
ADMITTED = 64  # bodies of the maximum size: what the service receives at the same time
MAX_GROWTH = 330_000_000
"""Bytes of memory: 64 bodies, and what each connection buffers. All bodies are 450,000,000."""
PROMPT = 2.0
"""Maximum seconds for one request while the others are stalled."""
LATE = 20.0
"""Maximum seconds on a busy machine."""
HEAD = (
    b"POST /faults/read-after/0 HTTP/1.1\r\nhost: here\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n"
)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")
async def test_450_unfinished_bodies_take_bounded_memory(start_service: StartService) -> None:
    # The bodies stay unfinished for longer than the test lasts.
    service = start_service(
        SERVICE_IO_TIMEOUT=60, SERVICE_REQUEST_TIMEOUT=60, SERVICE_CONCURRENCY_LIMIT=1000
    )
    service.until_ready()
    assert await asyncio.to_thread(upload_status, service) == 200
    before = memory(service)

    async with unfinished_uploads(service) as answers:
        assert len(answers) == CLIENTS - ADMITTED
        assert {status(answer) for answer in answers} == {503}
        assert all(b"\r\nretry-after: 1\r\n" in answer for answer in answers)
        assert memory(service) - before < MAX_GROWTH
        for path in ("/health/live", "/health/ready", PATH):
            assert await status_within(PROMPT, service, path) == 200
        assert await prompt_upload(service) == 503
        assert await status_within(PROMPT, service, "/health/ready") == 200

    await eventually(lambda: asyncio.to_thread(accepts_upload, service), within=LATE)
    records = service.records("requests rejected")
    assert {reason for record in records for reason in record["reasons"]} == {"body_memory"}


@contextlib.asynccontextmanager
async def unfinished_uploads(service: Service) -> AsyncIterator[list[bytes]]:
    """Hold `CLIENTS` uploads that have stalled; return the answers of those that were rejected."""
    connections = await asyncio.gather(
        *(asyncio.open_connection("127.0.0.1", service.port) for _ in range(CLIENTS))
    )
    answers = [asyncio.create_task(answer(reader)) for reader, _ in connections]
    try:
        async with asyncio.timeout(LATE):
            await asyncio.gather(*(send_part(writer) for _, writer in connections))
            rejected = asyncio.as_completed(answers)
            yield [await next(rejected) for _ in range(CLIENTS - ADMITTED)]
        assert sum(each.done() for each in answers) == CLIENTS - ADMITTED
    finally:
        for each in answers:
            each.cancel()
        for _, writer in connections:
            writer.close()


async def send_part(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD % DECLARED)
    with contextlib.suppress(ConnectionError):  # a rejected client can be disconnected
        for _ in range(SENT // len(PART)):
            writer.write(PART)
            await writer.drain()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Return the headers and the body of a response, as soon as they are complete."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length
    return head + await reader.readexactly(int(length[1]))


async def prompt_upload(service: Service) -> int:
    """Return the status that one more upload gets while it is still unfinished."""
    async with asyncio.timeout(PROMPT):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(HEAD % DECLARED + b"x" * 1000)
        response = await answer(reader)
        writer.close()
        return status(response)


async def status_within(seconds: float, service: Service, path: str) -> int:
    started = time.monotonic()
    response = await asyncio.to_thread(service.api.get, path)
    assert time.monotonic() - started < seconds
    return response.status_code


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


def accepts_upload(service: Service) -> bool:
    return upload_status(service) == 200


def upload_status(service: Service) -> int:
    return service.api.post("/faults/read-after/0", content=b"x" * DECLARED).status_code


def memory(service: Service) -> int:
    """Return the anonymous memory of the service, in bytes."""
    rollup = Path(f"/proc/{service.process.pids[0]}/smaps_rollup").read_text()
    kib = re.search(r"^Anonymous: +(\d+) kB$", rollup, re.MULTILINE)
    assert kib
    return int(kib[1]) * 1024
