"""Run the commands of a generated service as its owner does."""

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

PROBE_TIMEOUT = 60.0
"""Seconds for the probes to pass and for the processes to end, on a busy machine."""
INTEGRATION_TESTS = "tests/items tests/service/test_lifecycle.py tests/service/test_requests.py"
"""The tests of code in which several features meet."""


@dataclass(frozen=True)
class Service:
    """A generated service.

    variables: added to the environment of its commands. owner: the id of the user who runs them,
    None for the current user.
    """

    name: str
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    owner: int | None = None

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment of its commands, without the variables of the template."""
        # Another service can run at the same time.
        return environment() | {"WORKERS": "2"} | dict(self.variables) | variables

    def make(self, target: str, **variables: str) -> None:
        """Run a target of its Makefile. It must succeed."""
        with self._started(target, variables, subprocess.PIPE) as running:
            output, _ = running.communicate()
        assert running.returncode == 0, output

    def serve_until_probes_pass(self) -> None:
        """Run `make dev` until the probes pass, then interrupt it. All its processes must end."""
        self.make("settings")  # the fastest target that sets it up
        port = str(free_port())
        ports = {"SERVICE_PORT": port, "SERVICE_MANAGEMENT_PORT": str(free_port())}
        with (self.folder.parent / "dev.log").open("w+") as log:
            serving = self._started("dev", ports, log, group=0)  # like a shell, for Ctrl-C
            try:
                statuses = [wait_for_pass(port, probe) for probe in ("ready", "startup", "live")]
            finally:
                os.killpg(serving.pid, signal.SIGINT)
                serving.wait(PROBE_TIMEOUT)
                log.seek(0)
            assert statuses == ["pass"] * 3, log.read()
        assert probe_status(port, "live") is None

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


def wait_for_pass(port: str, probe: str) -> str | None:
    """Request a probe until it passes or the timeout ends, and return its last status."""
    deadline = time.monotonic() + PROBE_TIMEOUT
    while (status := probe_status(port, probe)) != "pass" and time.monotonic() < deadline:
        time.sleep(0.1)
    return status


def probe_status(port: str, probe: str) -> str | None:
    """Return the status in the response of a probe, or None if the response is not 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/{probe}", timeout=5) as answer:
            status: str = json.load(answer)["status"]
            return status
    except OSError:
        return None
