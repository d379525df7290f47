"""The version of the template is the same everywhere, and so is the first one of a service."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml
from project import TEMPLATE

from tools.generate import ROOT

RELEASE = re.compile(r"(?m)^## \[(\d+\.\d+\.\d+)\] - (unreleased|\d{4}-\d\d-\d\d)$")


def toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def test_the_newest_release_of_the_changelog_has_the_version_of_the_template() -> None:
    releases = RELEASE.findall((ROOT / "CHANGELOG.md").read_text("utf-8"))
    assert releases[0][0] == toml(ROOT / "pyproject.toml")["project"]["version"]
    assert [day for _, day in releases[1:] if day == "unreleased"] == []


def test_copied_patterns_name_the_version_of_the_template() -> None:
    patterns = toml(TEMPLATE / "docs" / "patterns" / "patterns.toml")
    assert patterns["version"] == toml(ROOT / "pyproject.toml")["project"]["version"]


def test_a_service_and_its_chart_start_with_the_same_version() -> None:
    chart = yaml.safe_load((TEMPLATE / "deploy" / "chart" / "Chart.yaml").read_text("utf-8"))
    service = toml(TEMPLATE / "pyproject.toml")["project"]["version"]
    assert chart["version"] == chart["appVersion"] == service
