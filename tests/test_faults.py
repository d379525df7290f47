"""The truth table in its short form: one fault from each group. `make faults` runs all of them."""

import json
import os
from pathlib import Path

import pytest
from supervised import run_supervised

from tools.generate import ROOT, environment

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]


@pytest.mark.skipif("CI" in os.environ, reason="`.ci/run` runs all faults: make faults")
def test_quick_run_of_the_truth_table_passes(tmp_path: Path) -> None:
    status, output = run_supervised(
        [
            "make",
            "--no-print-directory",
            "-C",
            ROOT.as_posix(),
            "faults",
            f"ARGS=--quick --to {tmp_path}",
        ],
        env=environment(),
        timeout=1800,
    )
    assert status == 0, output
    results = json.loads((tmp_path / "faults.json").read_text("utf-8"))
    assert {result["group"] for result in results} >= {"PostgreSQL", "Redis", "Kafka", "Service"}
    assert [result["name"] for result in results if result["errors"]] == []
    page = (tmp_path / "faults.html").read_text("utf-8")
    assert all(result["name"].replace("'", "&#x27;") in page for result in results)
