"""The truth table in small: one fault of each kind. `make faults` plays them all."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tools.generate import ROOT, environment

pytestmark = pytest.mark.service


@pytest.mark.skipif("CI" in os.environ, reason="`.ci/run` plays all faults: make faults")
def test_every_probe_told_the_truth_in_time(tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            "make",
            "--no-print-directory",
            "-C",
            str(ROOT),
            "faults",
            f"ARGS=--quick --to {tmp_path}",
        ],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    results = json.loads((tmp_path / "faults.json").read_text("utf-8"))
    assert {result["group"] for result in results} >= {"PostgreSQL", "Redis", "Kafka", "Service"}
    assert [result["name"] for result in results if result["shortfalls"]] == []
    page = (tmp_path / "faults.html").read_text("utf-8")
    assert all(result["name"].split(" (")[0].replace("'", "&#x27;") in page for result in results)
