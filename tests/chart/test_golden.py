"""What a change of the chart does to a deployment shows in the diff of these files."""

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
RENDERED = (("defaults", "as-it-is"), ("everything", "together"), ("alone", "as-it-is"))
# Each is a file of deploy/ put into an object, and would show every change of it twice.
LEFT_OUT = {"dashboards.yaml", "rules.yaml"}


def manifests(chart: Chart, option: str) -> dict[str, str]:
    """Render the objects, each as the file that shows it: its name, its text."""
    return {
        "{kind}-{metadata[name]}.yaml".format(**yaml.safe_load(text)).lower(): f"{text.strip()}\n"
        for path, rendered in chart.texts(options(chart)[option]).items()
        if Path(path).suffix == ".yaml" and Path(path).name not in LEFT_OUT
        for text in re.split(r"^---\n", rendered, flags=re.MULTILINE)
        if yaml.safe_load(text)
    }


@pytest.mark.parametrize(("service", "option"), RENDERED)
def test_the_chart_renders_what_was_reviewed(charts: Charts, service: str, option: str) -> None:
    found = manifests(charts(service), option)
    folder = FOLDER / f"{service}-{option}"
    if os.environ.get("GOLDEN") == "write":
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, text in found.items():
            (folder / name).write_text(text, "utf-8")
    reviewed = {path.name: path.read_text("utf-8") for path in sorted(folder.iterdir())}
    assert found == reviewed, "If this change is meant: make golden, and read its diff."
