"""A generated service and its commands, run as its owners would run them."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from dev.ports import free_port

from tools.generate import environment

PATIENCE = 60.0
"""Seconds for what takes a moment, unless the machine is very busy."""
SEAMS = "tests/items tests/service/test_lifecycle.py tests/service/test_requests.py"
"""The tests of where features meet."""


@dataclass(frozen=True)
class Service:
    """A generated service.

    variables: what its commands have in their environment, beside ours. owner: the id of the user
    who runs them, if not ours.
    """

    name: str
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    owner: int | None = None

    def environment(self, **variables: str) -> dict[str, str]:
        """Return what its commands have, with nothing of ours in their way."""
        # There may be another service beside it.
        return environment() | {"WORKERS": "2"} | dict(self.variables) | variables

    def make(self, target: str, **variables: str) -> None:
        """Run a target of its Makefile, which must succeed."""
        with self._started(target, variables, subprocess.PIPE) as running:
            said, _ = running.communicate()
        assert running.returncode == 0, said

    def serve_and_leave(self) -> None:
        """Serve it on its servers until its probes pass; they must, and it must end."""
        self.make("settings")  # the least that sets it up
        port = str(free_port())
        ports = {"SERVICE_PORT": port, "SERVICE_MANAGEMENT_PORT": str(free_port())}
        with (self.folder.parent / "dev.log").open("w+") as log:
            serving = self._started("dev", ports, log, group=0)  # as a shell does, for Ctrl-C
            try:
                answers = [until_passed(port, probe) for probe in ("ready", "startup", "live")]
            finally:
                os.killpg(serving.pid, signal.SIGINT)
                serving.wait(PATIENCE)
                log.seek(0)
            assert answers == ["pass"] * 3, log.read()
        assert asked(port, "live") is None

    def _started(
        self,
        target: str,
        variables: Mapping[str, str],
        output: IO[str] | int,
        group: int | None = None,
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["make", "--no-print-directory", "-C", str(self.folder), target],
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=group,
            user=self.owner,
            group=self.owner,
            extra_groups=None if self.owner is None else [],
        )


def until_passed(port: str, probe: str) -> str | None:
    """Ask a probe until it passes, or for too long; return what it said last."""
    deadline = time.monotonic() + PATIENCE
    while (said := asked(port, probe)) != "pass" and time.monotonic() < deadline:
        time.sleep(0.1)
    return said


def asked(port: str, probe: str) -> str | None:
    """Return the status that a probe tells, or None if nobody answers, or not with 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/{probe}", timeout=5) as answer:
            status: str = json.load(answer)["status"]
            return status
    except OSError:
        return None
