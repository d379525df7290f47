"""Rendered objects in golden files: their diff shows the effect of a change of the chart."""

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from .cases import options
from .conftest import Charts
from .helm import Chart

FOLDER = Path(__file__).parent / "golden"
RENDERED = (("defaults", "default"), ("everything", "together"), ("alone", "default"))
# Each contains a file of deploy/, so golden files would show every change of that file twice.
EXCLUDED = {"dashboards.yaml", "rules.yaml"}


def manifests(chart: Chart, option: str) -> dict[str, str]:
    """Render the objects; return the text of each by the name of its golden file."""
    return {
        "{kind}-{metadata[name]}.yaml".format(**yaml.safe_load(text)).lower(): f"{text.strip()}\n"
        for path, rendered in chart.texts(options(chart)[option]).items()
        if Path(path).suffix == ".yaml" and Path(path).name not in EXCLUDED
        for text in re.split(r"^---\n", rendered, flags=re.MULTILINE)
        if yaml.safe_load(text)
    }


@pytest.mark.parametrize(("service", "option"), RENDERED)
def test_rendered_objects_match_golden_files(charts: Charts, service: str, option: str) -> None:
    found = manifests(charts(service), option)
    folder = FOLDER / f"{service}-{option}"
    if os.environ.get("GOLDEN") == "write":
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, text in found.items():
            (folder / name).write_text(text, "utf-8")
    reviewed = {path.name: path.read_text("utf-8") for path in sorted(folder.iterdir())}
    assert found == reviewed, "If this change is intended, run `make golden` and review its diff."
