"""The OpenAPI document of a new service is true for every request.

Schemathesis reads the document and sends valid and invalid requests, alone and in sequences. It
compares the status, headers and body of each response with the document.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from project import generate_in

from tools.generate import environment

from .ports import free_ports
from .walkthrough import SERVE, Command, Reader

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
READY = Command("curl -s localhost:8000/health/ready", ('{"status": "pass"}',))


@pytest.mark.service
def test_every_response_conforms_to_the_openapi_document(tmp_path: Path) -> None:
    ports = free_ports()
    with Reader(generate_in(tmp_path), environment(), ports) as reader:
        reader.perform(Command(SERVE, ()))
        reader.perform(READY)
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
