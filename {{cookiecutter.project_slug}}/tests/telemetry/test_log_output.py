"""Logging neither blocks nor fails: what stdout does not take is dropped and counted."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator

import pytest

from reference_service.telemetry import log_output as module
from reference_service.telemetry.log_output import LogOutput

LINE = "x" * 99 + "\n"


@contextlib.contextmanager
def unread_pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Replace stdout by a pipe that nobody reads, and yield the end to read from."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        try:
            yield reading
        finally:
            os.close(reading)  # a writer that still waits fails now


def test_pipe_that_nobody_reads_drops_lines_beyond_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 200_000)
    monkeypatch.setattr(module, "FLUSH_TIMEOUT", 0.05)
    output = LogOutput()
    with unread_pipe(monkeypatch) as pipe:
        for _ in range(10_000):
            output.write(LINE)
        output.flush()  # returns, although stdout takes nothing
        dropped = output.dropped
        assert 0 < dropped <= 8_000
        received = 0
        while received < (10_000 - dropped) * len(LINE):
            received += len(os.read(pipe, 65536))
        monkeypatch.setattr(module, "FLUSH_TIMEOUT", 5)
        output.flush()
        output.write(LINE)
        assert os.read(pipe, 65536).decode() == LINE
        output.flush()
        assert output.dropped == dropped


class FullDisk(io.StringIO):
    """A stream on a disk that is full at first."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_full_disk_costs_lines_and_its_end_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk, output = FullDisk(), LogOutput()
    monkeypatch.setattr(sys, "stdout", disk)
    output.write(LINE * 3)
    output.flush()
    assert output.dropped == 3
    disk.full = False
    with caplog.at_level(logging.WARNING):
        output.write(LINE)
        output.flush()
    assert disk.getvalue() == LINE
    (record,) = caplog.records
    assert (record.message, vars(record)["lines"]) == ("log lines dropped", 3)


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(("message", "argument"), [("%d items", "two"), ("%s", Unprintable())])
def test_message_that_cannot_be_formatted_fails_no_request(
    monkeypatch: pytest.MonkeyPatch, message: str, argument: object
) -> None:
    monkeypatch.setattr(sys, "stdout", stream := io.StringIO())
    output = LogOutput()
    output.handle(logging.LogRecord("shop", logging.INFO, "", 0, message, (argument,), None))
    output.flush()
    assert stream.getvalue() == f"log message cannot be formatted: {message!r}\n"
