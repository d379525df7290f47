"""What the description of the API says holds for whatever a client sends.

Schemathesis reads the description of a new service with the defaults, makes requests of it that are
right, wrong, and in a row, and holds every answer to it: status, headers, body.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from project import generate_in

from tools.generate import environment

from .ports import free_ports
from .tutorial import SERVE, Command, Reader

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
READY = Command("curl -s localhost:8000/health/ready", ('{"status": "pass"}',))


@pytest.mark.service
def test_every_answer_is_as_the_api_describes_it_whatever_is_sent(tmp_path: Path) -> None:
    ports = free_ports()
    with Reader(generate_in(tmp_path), environment(), ports) as reader:
        reader.do(Command(SERVE, ()))
        reader.do(READY)
        ended = subprocess.run(
            [
                SCHEMATHESIS,
                "run",
                f"http://127.0.0.1:{ports[0]}/openapi.json",
                "--checks=all",
                "--continue-on-failure",
                "--generation-deterministic",
                "--max-examples=40",
                "--no-color",
                "--seed=1",
            ],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout
    assert "No issues found" in ended.stdout
    assert "Tested: 5" in ended.stdout
