"""The benchmark in its shortest form, for its shape: what its figures say is for people to read."""

import json
import math
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tools.generate import ROOT, environment

pytestmark = pytest.mark.service

TOPICS = {
    "generation": 2,
    "probes": 14,
    "no database": 10,
    "one row read": 10,
    "one row written": 10,
    "layers": 10,
    "storm": 10,
    "overload, slow database": 6,
    "overload, busy core": 6,
    "start": 5,
    "memory": 9,
}
MAY_BE_NOTHING = ("+ ", "statements", "lost", "refused")
"""Differences, and what a short look may not see."""


def test_every_figure_is_measured_and_told(tmp_path: Path) -> None:
    ended = subprocess.run(
        ["make", "--no-print-directory", "-C", str(ROOT), "bench", f"ARGS=--quick --to {tmp_path}"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    figures = json.loads((tmp_path / "bench.json").read_text("utf-8"))["figures"]
    topics = [figure["topic"] for figure in figures]
    assert {topic: topics.count(topic) for topic in topics} == TOPICS
    for figure in figures:
        assert math.isfinite(figure["value"]), figure
        assert figure["value"] > 0 or any(word in figure["name"] for word in MAY_BE_NOTHING), figure
        assert figure["name"] in ended.stdout
    ET.fromstring((tmp_path / "bench.svg").read_text("utf-8"))
    assert not (tmp_path / "out").exists()
