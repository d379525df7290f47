"""Starts `run_servers.py`, with the packages of the reference service, which these tests lack."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from project import TEMPLATE

from tools.generate import ROOT, environment, set_up

TIMEOUT = 60.0


class Servers:
    """A running PostgreSQL and Valkey.

    variables: their addresses, for the service.
    """

    def __init__(self, process: "subprocess.Popen[str]", variables: Mapping[str, str]) -> None:
        self._process = process
        self.variables = variables

    def pause(self, name: str) -> None:
        """Freeze a server: connections stay open, but nothing responds."""
        self._request(f"pause {name}")

    def resume(self, name: str) -> None:
        """Continue a server after `pause`."""
        self._request(f"resume {name}")

    def _request(self, command: str) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "\n"


@contextmanager
def running_servers(folder: Path) -> Iterator[Servers]:
    """Run both servers with data in a folder."""
    set_up(TEMPLATE)
    variables = {
        "PYTHONPATH": str(TEMPLATE),
        "PYTHONPYCACHEPREFIX": str(ROOT / ".build/pycache"),
    }
    process = subprocess.Popen(
        [ROOT / ".build/venv/bin/python", Path(__file__).with_name("run_servers.py"), folder],
        env=environment() | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        yield Servers(process, json.loads(process.stdout.readline()))
    finally:
        process.communicate(timeout=TIMEOUT)
