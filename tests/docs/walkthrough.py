"""Performs a document as a reader does: creates its files, edits its lines, runs its commands.

A sentence directly above a block says what to do with it:

    `path/of/file.py`, a new file:
    `path/of/file.py`, a new line below `the line as it is in the file`:
    `path/of/file.py`, instead of `the line as it is in the file`:

A `console` block has commands after `$ `. The lines below a command are part of its output, in this
order, with other lines between them. Blocks of `text`, `yaml` and
configurations of proxies are only read.
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
EDIT = re.compile(r"`([^`]+)`, (a new line below|instead of) `([^`]+)`:")
ONLY_READ = {"haproxy", "nginx", "text", "yaml"}
SERVE = "make dev"
ANSWER_TIMEOUT = 180.0
"""Seconds until a request must be answered as shown. Requests are repeated until then."""


@dataclass(frozen=True)
class NewFile:
    """A file to create."""

    path: str
    text: str


@dataclass(frozen=True)
class Edit:
    """Lines to put below a line that occurs once, or in its place."""

    path: str
    line: str
    text: str
    replaces: bool


@dataclass(frozen=True)
class Command:
    """A command line, and lines of its output."""

    line: str
    shown: tuple[str, ...]

    @property
    def can_repeat(self) -> bool:
        """Whether the command only asks, so that it can be repeated until the answer is there."""
        return self.line.startswith("curl ")

    def is_shown_in(self, output: str) -> bool:
        """Return whether the output has the shown lines, in their order."""
        lines = iter(output.splitlines())
        return all(any(shown in line for line in lines) for shown in self.shown)


Step = NewFile | Edit | Command


def steps(text: str) -> Iterator[Step]:
    """Yield the steps of a document. Raises ValueError for a block without a sentence above it."""
    for sentence, kind, body in BLOCK.findall(text):
        if kind == "console":
            yield from commands(body)
        elif new := NEW_FILE.fullmatch(sentence):
            yield NewFile(new[1], body)
        elif edit := EDIT.fullmatch(sentence):
            yield Edit(edit[1], edit[3], body, replaces=edit[2] == "instead of")
        elif kind not in ONLY_READ:
            raise ValueError(f"no sentence says what to do with this block:\n{body}")


def commands(body: str) -> Iterator[Command]:
    """Yield the commands of a console block."""
    _, *typed = re.split(r"^\$ ", body, flags=re.MULTILINE)
    for each in typed:
        line, *shown = each.splitlines()
        yield Command(line, tuple(shown))


class Reader:
    """Performs steps in the folder of a service.

    ports: the service port and the management port, in place of 8000 and 9000.
    """

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
        """Press Ctrl-C where `make dev` runs."""
        if self._serving:
            os.killpg(self._serving.pid, signal.SIGINT)
            self._serving.wait(ANSWER_TIMEOUT)

    def perform(self, step: Step) -> None:
        """Perform one step. Raises AssertionError if the document does not fit what happens."""
        match step:
            case NewFile():
                file = self.folder / step.path
                assert not file.exists(), f"{step.path} exists already"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(step.text, "utf-8")
            case Edit():
                self._edit(step)
            case Command(line=line) if line.endswith(SERVE):  # variables may stand before it
                self._serving = self._start(line, subprocess.DEVNULL)
            case Command():
                self._run(step)

    def _edit(self, edit: Edit) -> None:
        file = self.folder / edit.path
        lines = file.read_text("utf-8").splitlines(keepends=True)
        assert lines.count(f"{edit.line}\n") == 1, f"{edit.path}: {edit.line!r}"
        place = lines.index(f"{edit.line}\n")
        lines[place : place + 1] = [edit.text] if edit.replaces else [lines[place], edit.text]
        file.write_text("".join(lines), "utf-8")

    def _run(self, command: Command) -> None:
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while True:
            process = self._start(command.line, subprocess.PIPE)
            output = process.communicate()[0].decode()
            if command.is_shown_in(output) or not command.can_repeat:
                break
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        assert command.is_shown_in(output), f"$ {command.line}\n{output}"
        if not command.can_repeat:
            must_fail = any("failed" in line for line in command.shown)
            assert bool(process.returncode) == must_fail, f"$ {command.line}\n{output}"

    def _start(self, line: str, output: int) -> subprocess.Popen[bytes]:
        for documented, free in self._ports.items():
            line = line.replace(documented, free)
        return subprocess.Popen(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self._environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
