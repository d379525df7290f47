"""The benchmark in its shortest form: it must measure everything. The values are not tested."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from supervised import run_supervised

from tools.generate import ROOT, environment

pytestmark = pytest.mark.service

MEASUREMENTS_BY_TOPIC = {
    "generation": 2,
    "probes": 14,
    "no database": 14,
    "one row read": 14,
    "one row written": 14,
    "layers": 13,
    "probe flood": 12,
    "overload, busy core": 1,
    "overload, busy core, 2 x": 24,
    "overload, busy core, 5 x": 24,
    "overload, busy core, 10 x": 24,
    "overload, slow database": 1,
    "overload, slow database, 2 x": 24,
    "overload, slow database, 5 x": 24,
    "overload, def handlers": 1,
    "overload, def handlers, 2 x": 24,
    "overload, def handlers, 5 x": 24,
    "ordinary load": 3,
    "fail fast": 11,
    "fail fast, aiobreaker": 4,
    "fail fast, purgatory": 4,
    "startup": 7,
    "memory": 9,
    **{f"growth, {number} routes": 7 for number in (10, 100, 400)},
    **{f"growth, {number}": 3 for number in ("1 check", "10 checks", "50 checks")},
    **{f"growth, {number} connections": 4 for number in ("10", "1,000", "10,000")},
}
MAY_BE_ZERO = (
    "+ ",
    "statements",
    "lost",
    "rejected",
    "answered",
    "accepted",
    "p99 of",
    "refus",
    "sacrificed",
    "in flight",
    "while idle",
    "memory of all",
    "failed",
)
"""Names of differences, and of what a short measurement may not show."""


def test_quick_run_measures_and_reports_every_value(tmp_path: Path) -> None:
    command = ["make", "--no-print-directory", "-C", str(ROOT), "bench"]
    status, output = run_supervised(
        [*command, f"ARGS=--quick --to {tmp_path}"], env=environment(), timeout=1800
    )
    assert status == 0, output
    measurements = json.loads((tmp_path / "bench.json").read_text("utf-8"))["measurements"]
    topics = [each["topic"] for each in measurements]
    assert {topic: topics.count(topic) for topic in topics} == MEASUREMENTS_BY_TOPIC
    for each in measurements:
        assert math.isfinite(each["value"]), each
        assert each["value"] > 0 or any(word in each["name"] for word in MAY_BE_ZERO), each
        assert each["name"] in output
    ET.fromstring((tmp_path / "bench.svg").read_text("utf-8"))
    assert not (tmp_path / "out").exists()
