"""Reads a tutorial, and does what it says as a reader would, line by line.

A file or a line is announced by what stands above its block, in these words:

    `path/of/file.py`, a new file:
    `path/of/file.py`, a new line below `the line as it stands there`:

A block of the kind `console` has commands behind `$ `, and below each what its output has, among
other lines, in this order.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

BLOCK = re.compile(r"(?:^(`[^\n]*:)\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEW_FILE = re.compile(r"`([^`]+)`, a new file:")
NEW_LINE = re.compile(r"`([^`]+)`, a new line below `([^`]+)`:")
SERVE = "make dev"
PATIENCE = 180.0
"""Seconds until a question has to be answered as shown: those are asked again and again."""


@dataclass(frozen=True)
class NewFile:
    """A file that is not there yet."""

    path: str
    text: str


@dataclass(frozen=True)
class NewLine:
    """A line below one that is there once."""

    path: str
    below: str
    text: str


@dataclass(frozen=True)
class Command:
    """What is typed, and the lines that are shown of what it says."""

    line: str
    shown: tuple[str, ...]

    @property
    def asks(self) -> bool:
        """Whether it is a question, which one may repeat until the answer has come."""
        return self.line.startswith("curl ")

    def is_said(self, output: str) -> bool:
        """Tell whether the lines that are shown are in the output, in their order."""
        lines = iter(output.splitlines())
        return all(any(shown in line for line in lines) for shown in self.shown)


def steps(text: str) -> Iterator[NewFile | NewLine | Command]:
    """Yield what a tutorial says is to be done. Raises ValueError for a block that says nothing."""
    for announced, kind, body in BLOCK.findall(text):
        if kind == "console":
            yield from commands(body)
        elif new := NEW_FILE.fullmatch(announced):
            yield NewFile(new[1], body)
        elif new := NEW_LINE.fullmatch(announced):
            yield NewLine(new[1], new[2], body)
        else:
            raise ValueError(f"nobody says what to do with this block:\n{body}")


def commands(body: str) -> Iterator[Command]:
    """Yield the commands of a console."""
    _, *typed = re.split(r"^\$ ", body, flags=re.MULTILINE)
    for each in typed:
        line, *shown = each.splitlines()
        yield Command(line, tuple(shown))


class Reader:
    """Somebody at a terminal in the folder of a service, whose ports are these."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], ports: tuple[int, int]
    ) -> None:
        self.folder = folder
        port, management = map(str, ports)
        variables = {"SERVICE_PORT": port, "SERVICE_MANAGEMENT_PORT": management}
        self._ports = {
            "localhost:8000": f"localhost:{port}",
            "localhost:9000": f"localhost:{management}",
        }
        self._environment = {**environment, **variables}
        self._serving: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Press Ctrl-C where the service was started."""
        if self._serving:
            os.killpg(self._serving.pid, signal.SIGINT)
            self._serving.wait(PATIENCE)

    def do(self, step: NewFile | NewLine | Command) -> None:
        """Take a step. Raises AssertionError if what is seen is not what is shown."""
        match step:
            case NewFile():
                file = self.folder / step.path
                assert not file.exists(), f"{step.path} is there already"
                file.write_text(step.text, "utf-8")
            case NewLine():
                file = self.folder / step.path
                lines = file.read_text("utf-8").splitlines(keepends=True)
                assert lines.count(f"{step.below}\n") == 1, f"{step.path}: {step.below!r}"
                lines.insert(lines.index(f"{step.below}\n") + 1, step.text)
                file.write_text("".join(lines), "utf-8")
            case Command(line=line) if line == SERVE:
                self._serving = self._start(line, subprocess.DEVNULL)
            case Command():
                self._type(step)

    def _type(self, command: Command) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            process = self._start(command.line, subprocess.PIPE)
            said = process.communicate()[0].decode()
            if command.is_said(said) or not command.asks or time.monotonic() > until:
                break
        assert command.is_said(said), f"$ {command.line}\n{said}"
        if not command.asks:
            fails = any("failed" in line for line in command.shown)
            assert bool(process.returncode) == fails, f"$ {command.line}\n{said}"

    def _start(self, line: str, output: int) -> subprocess.Popen[bytes]:
        for written, ours in self._ports.items():
            line = line.replace(written, ours)
        return subprocess.Popen(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self._environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
