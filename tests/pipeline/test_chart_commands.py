"""The commands of the chart workflow, run on the rendered chart. Helm comes from its wheel."""

import os
import shlex
from pathlib import Path

import pytest
from chart.helm import Chart
from project import TEMPLATE

from pipeline.repository import TOOLS, commands, shell
from tools.generate import ROOT

PATH = os.pathsep.join([str(TOOLS), str(ROOT / ".build" / "scanner" / "bin"), os.environ["PATH"]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render the chart into a folder with the arguments of the workflow."""
    folder = tmp_path_factory.mktemp("chart")
    (command,) = commands(TEMPLATE, "chart.yml", "^helm template")
    _, _, name, chart, _, namespace, _, file = shlex.split(command)
    texts = Chart(TEMPLATE / chart).texts(name=name, namespace=namespace)
    objects = [text for path, text in texts.items() if not path.endswith("NOTES.txt")]
    (folder / file).write_text("\n---\n".join(objects), "utf-8")
    return folder


def test_helm_lint_has_no_warnings() -> None:
    (command,) = commands(TEMPLATE, "chart.yml", "^helm lint")
    assert command == "helm lint --strict deploy/chart"
    messages = Chart(TEMPLATE / "deploy" / "chart").lint()
    assert [
        line for line in messages if "icon is recommended" not in line
    ] == []  # only information


@pytest.mark.parametrize("tool", ["kubernetes-validate", "checkov"])
def test_rendered_chart_passes(folder: Path, tool: str) -> None:
    (command,) = commands(TEMPLATE, "chart.yml", f"^{tool}")
    ended = shell(command, folder, PATH=PATH)
    assert ended.returncode == 0, ended.stdout


def test_unknown_kubernetes_field_fails(folder: Path, tmp_path: Path) -> None:
    (command,) = commands(TEMPLATE, "chart.yml", "^kubernetes-validate")
    text = (folder / "rendered.yaml").read_text("utf-8")
    (tmp_path / "rendered.yaml").write_text(
        text.replace("spec:", "spec:\n  replica: 2", 1), "utf-8"
    )
    ended = shell(command, tmp_path, PATH=PATH)
    assert ended.returncode != 0
    assert "replica" in ended.stdout
