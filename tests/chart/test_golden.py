"""Rendered objects in golden files: their diff shows the effect of a change of the chart."""

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from .cases import PLATFORMS, options, platform_values
from .conftest import Charts
from .helm import Chart, Values

FOLDER = Path(__file__).parent / "golden"
RENDERED = (("defaults", "default"), ("everything", "together"), ("alone", "default"))
# Each contains a file of deploy/, so golden files would show every change of that file twice.
EXCLUDED = {"dashboards.yaml", "rules.yaml"}


def manifests(chart: Chart, values: Values) -> dict[str, str]:
    """Render the objects; return the text of each by the name of its golden file."""
    return {
        "{kind}-{metadata[name]}.yaml".format(**yaml.safe_load(text)).lower(): f"{text.strip()}\n"
        for path, rendered in chart.texts(values).items()
        if Path(path).suffix == ".yaml" and Path(path).name not in EXCLUDED
        for text in re.split(r"^---\n", rendered, flags=re.MULTILINE)
        if yaml.safe_load(text)
    }


@pytest.mark.parametrize(("service", "option"), RENDERED)
def test_rendered_objects_match_golden_files(charts: Charts, service: str, option: str) -> None:
    chart = charts(service)
    compare(manifests(chart, options(chart)[option]), f"{service}-{option}")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_objects_that_differ_on_platform_match_golden_files(charts: Charts, platform: str) -> None:
    chart = charts("defaults")
    usual = manifests(chart, {}).items()
    found = manifests(chart, platform_values(chart, platform)).items()
    compare(dict(found - usual), f"platform-{platform}")


def compare(found: dict[str, str], name: str) -> None:
    """Compare objects with the files of a folder; with GOLDEN=write, write them."""
    folder = FOLDER / name
    if os.environ.get("GOLDEN") == "write":
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file, text in found.items():
            (folder / file).write_text(text, "utf-8")
    reviewed = {path.name: path.read_text("utf-8") for path in sorted(folder.iterdir())}
    assert found == reviewed, "If this change is intended, run `make golden` and review its diff."
